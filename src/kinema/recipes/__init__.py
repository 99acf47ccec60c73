"""Recipes: whole runs as functions."""

from kinema.recipes.classification import classification
from kinema.recipes.evaluation import evaluate, evaluation_clips

__all__ = ["classification", "evaluate", "evaluation_clips"]
