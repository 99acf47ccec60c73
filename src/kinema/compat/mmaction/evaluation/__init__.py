"""`mmaction.evaluation`, thin over Kinema."""

from kinema.evaluation import (
    AccMetric,
    ConfusionMatrix,
    confusion_matrix,
    get_weighted_score,
    mean_average_precision,
    mean_class_accuracy,
    mmit_mean_average_precision,
    softmax,
    top_k_accuracy,
    top_k_classes,
)

__all__ = [
    "AccMetric",
    "ConfusionMatrix",
    "confusion_matrix",
    "get_weighted_score",
    "mean_average_precision",
    "mean_class_accuracy",
    "mmit_mean_average_precision",
    "softmax",
    "top_k_accuracy",
    "top_k_classes",
]
