"""`mmengine.evaluator`, thin over Kinema."""

from kinema.evaluation import BaseMetric, Evaluator

__all__ = [
    "BaseMetric",
    "Evaluator",
]
