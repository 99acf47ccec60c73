"""`mmaction.evaluation.metrics`, thin over Kinema."""

from kinema.evaluation import AccMetric, ConfusionMatrix

__all__ = [
    "AccMetric",
    "ConfusionMatrix",
]
