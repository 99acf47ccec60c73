"""Inference: load a checkpoint, predict."""

from kinema.inference.recognizer import Prediction, VideoRecognizer, check_scores, find_checkpoint, load
from kinema.inference.views import Looked

__all__ = ["Looked", "Prediction", "VideoRecognizer", "check_scores", "find_checkpoint", "load"]
