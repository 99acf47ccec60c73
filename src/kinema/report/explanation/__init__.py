"""What a model looked at: explanations of predictions, as maps over the frames that it saw."""

from kinema.report.explanation.explainer import Explainer, Saliency
from kinema.report.explanation.gradcam import GradCam
from kinema.report.explanation.video import Explanation, Moment, explain_video

__all__ = ["Explainer", "Explanation", "GradCam", "Moment", "Saliency", "explain_video"]
