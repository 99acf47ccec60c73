"""Recipes: whole runs as functions."""

from kinema.recipes.classification import classification
from kinema.recipes.evaluation import Evaluation, evaluate, evaluation_clips

__all__ = ["Evaluation", "classification", "evaluate", "evaluation_clips"]
