"""`mmengine.hooks`, thin over Kinema."""
