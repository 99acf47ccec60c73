"""MMEngine's analysis of a model's cost. Kinema's own is `kinema.models.complexity`, which computes nothing."""
