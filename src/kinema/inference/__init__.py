"""Inference: load a checkpoint, predict."""

from kinema.inference.recognizer import Prediction, VideoRecognizer, find_checkpoint, load

__all__ = ["Prediction", "VideoRecognizer", "find_checkpoint", "load"]
