"""Recipes: whole runs as functions."""

from kinema.recipes.classification import classification
from kinema.recipes.evaluation import Evaluation, evaluate, evaluation_clips
from kinema.recipes.folds import cross_validate
from kinema.recipes.tuning import Tuning, tune, tune_after_training

__all__ = [
    "Evaluation",
    "Tuning",
    "classification",
    "cross_validate",
    "evaluate",
    "evaluation_clips",
    "tune",
    "tune_after_training",
]
