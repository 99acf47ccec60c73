"""`mmaction.models.backbones`, thin over Kinema."""
