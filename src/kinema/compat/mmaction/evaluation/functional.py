"""`mmaction.evaluation.functional`, thin over Kinema."""

from kinema.evaluation import (
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
    "confusion_matrix",
    "get_weighted_score",
    "mean_average_precision",
    "mean_class_accuracy",
    "mmit_mean_average_precision",
    "softmax",
    "top_k_accuracy",
    "top_k_classes",
]
