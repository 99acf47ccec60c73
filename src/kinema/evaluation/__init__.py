"""Scores and labels -> numbers: pure functions, and metrics that count over a dataset."""

from kinema.evaluation.calibration import (
    Calibration,
    ReliabilityBin,
    Temperature,
    calibrate,
    calibrated,
    expected_calibration_error,
    fit_temperature,
    reliability_bins,
    top_label,
)
from kinema.evaluation.certainty import ClipOutcomes, MAPInterval, Top1Interval
from kinema.evaluation.classes import ClassResult, Confusion, class_results, worst_confusions
from kinema.evaluation.clip_scores import ClipId, ClipScores, FailedClip
from kinema.evaluation.dump_results import DumpResults
from kinema.evaluation.dumps import ScoreDump, check_dump, dump_suffix, read_dump, write_dump
from kinema.evaluation.evaluator import Evaluator
from kinema.evaluation.functional import (
    confusion_matrix,
    get_weighted_score,
    in_top_k,
    mean_average_precision,
    mean_class_accuracy,
    mmit_mean_average_precision,
    softmax,
    top_k_accuracy,
    top_k_classes,
)
from kinema.evaluation.intervals import (
    AccuracyInterval,
    accuracy_interval,
    bootstrap_interval,
    wilson_interval,
)
from kinema.evaluation.loop import evaluate_loader
from kinema.evaluation.metrics import AccMetric, BaseMetric, ConfusionMatrix
from kinema.evaluation.paired import ChangedClip, PairedComparison, compare_clips, compare_hits, mcnemar_exact
from kinema.evaluation.reconstruction import ReconstructionError
from kinema.evaluation.thresholds import (
    ClassThreshold,
    PrecisionRecall,
    choose_threshold,
    class_thresholds,
    precision_recall_curve,
)

__all__ = [
    "AccMetric",
    "AccuracyInterval",
    "BaseMetric",
    "Calibration",
    "ChangedClip",
    "ClassResult",
    "ClassThreshold",
    "ClipId",
    "ClipOutcomes",
    "ClipScores",
    "Confusion",
    "ConfusionMatrix",
    "DumpResults",
    "Evaluator",
    "FailedClip",
    "MAPInterval",
    "PairedComparison",
    "PrecisionRecall",
    "ReconstructionError",
    "ReliabilityBin",
    "ScoreDump",
    "Temperature",
    "Top1Interval",
    "accuracy_interval",
    "bootstrap_interval",
    "calibrate",
    "calibrated",
    "check_dump",
    "choose_threshold",
    "class_results",
    "class_thresholds",
    "compare_clips",
    "compare_hits",
    "confusion_matrix",
    "dump_suffix",
    "evaluate_loader",
    "expected_calibration_error",
    "fit_temperature",
    "get_weighted_score",
    "in_top_k",
    "mcnemar_exact",
    "mean_average_precision",
    "mean_class_accuracy",
    "mmit_mean_average_precision",
    "precision_recall_curve",
    "read_dump",
    "reliability_bins",
    "softmax",
    "top_k_accuracy",
    "top_k_classes",
    "top_label",
    "wilson_interval",
    "worst_confusions",
    "write_dump",
]
