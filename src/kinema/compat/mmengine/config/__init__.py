"""`mmengine.config`, thin over Kinema."""
