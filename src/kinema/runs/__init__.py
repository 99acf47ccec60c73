"""What a run keeps on disk: its work folder, settings, figures and what they say; and trackers of its figures."""

from kinema.runs.hosted_backends import AimVisBackend, ClearMLVisBackend, DVCLiveVisBackend, NeptuneVisBackend
from kinema.runs.local_backend import LocalVisBackend
from kinema.runs.mlflow_tracker import MLflowTracker
from kinema.runs.tensorboard_tracker import TensorBoardTracker
from kinema.runs.trackers import RunInfo, Tracker
from kinema.runs.vis_backend import BaseVisBackend
from kinema.runs.wandb_tracker import WandbTracker

__all__ = [
    "AimVisBackend",
    "BaseVisBackend",
    "ClearMLVisBackend",
    "DVCLiveVisBackend",
    "LocalVisBackend",
    "MLflowTracker",
    "NeptuneVisBackend",
    "RunInfo",
    "TensorBoardTracker",
    "Tracker",
    "WandbTracker",
]
