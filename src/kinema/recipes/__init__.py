"""Recipes: whole runs as functions."""

from kinema.recipes.classification import classification
from kinema.recipes.evaluation import ClipScores, Evaluation, evaluate, evaluation_clips

__all__ = ["ClipScores", "Evaluation", "classification", "evaluate", "evaluation_clips"]
