"""`mmaction.apis`, thin over Kinema."""
