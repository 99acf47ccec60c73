"""Transformers over the patches of a clip."""
