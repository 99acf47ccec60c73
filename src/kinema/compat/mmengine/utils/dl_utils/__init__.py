"""`mmengine.utils.dl_utils`, thin over Kinema."""
