"""Recognizers: data preprocessor + backbone + neck + head as one model."""

from kinema.models.recognizers.base import BaseRecognizer
from kinema.models.recognizers.recognizer2d import Recognizer2D
from kinema.models.recognizers.recognizer3d import Recognizer3D

__all__ = ["BaseRecognizer", "Recognizer2D", "Recognizer3D"]
