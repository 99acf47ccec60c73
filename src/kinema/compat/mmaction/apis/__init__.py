"""`mmaction.apis`, thin over Kinema."""

from kinema.compat.parts.inference import inference_recognizer, init_recognizer

__all__ = ["inference_recognizer", "init_recognizer"]
