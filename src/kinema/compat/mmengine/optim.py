"""`mmengine.optim`, thin over Kinema."""
