"""The report of a trained model: measured here, drawn by `kinema.report`. What `kinema report` runs."""

from kinema.recipes.reporting.measuring import Measured, measure
from kinema.recipes.reporting.writing import ModelReport, report_models

__all__ = ["Measured", "ModelReport", "measure", "report_models"]
