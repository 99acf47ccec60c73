"""Recipes: whole runs as functions."""

from kinema.recipes.classification import classification
from kinema.recipes.evaluation import Evaluation, evaluate, evaluation_clips
from kinema.recipes.folds import cross_validate

__all__ = ["Evaluation", "classification", "cross_validate", "evaluate", "evaluation_clips"]
