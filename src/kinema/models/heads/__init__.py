"""Heads: features -> class scores, losses, predictions."""

from kinema.models.heads.attentive import AttentiveHead
from kinema.models.heads.base import BaseHead
from kinema.models.heads.feature import FeatureHead
from kinema.models.heads.i3d import I3DHead
from kinema.models.heads.internvideo2 import InternVideo2Head
from kinema.models.heads.movinet import MoViNetHead
from kinema.models.heads.mvit import MViTHead
from kinema.models.heads.omni import OmniHead
from kinema.models.heads.scores import ScoresHead
from kinema.models.heads.segments import AvgConsensus
from kinema.models.heads.slowfast import SlowFastHead
from kinema.models.heads.timesformer import TimeSformerHead
from kinema.models.heads.tpn import TPNHead
from kinema.models.heads.trn import RelationModule, RelationModuleMultiScale, TRNHead
from kinema.models.heads.tsm import TSMHead
from kinema.models.heads.tsn import TSNHead
from kinema.models.heads.tsn_audio import TSNAudioHead
from kinema.models.heads.uniformer import UniFormerHead
from kinema.models.heads.videoprism import VideoPrismHead
from kinema.models.heads.x3d import X3DHead

__all__ = [
    "AttentiveHead",
    "AvgConsensus",
    "BaseHead",
    "FeatureHead",
    "I3DHead",
    "InternVideo2Head",
    "MViTHead",
    "MoViNetHead",
    "OmniHead",
    "RelationModule",
    "RelationModuleMultiScale",
    "ScoresHead",
    "SlowFastHead",
    "TPNHead",
    "TRNHead",
    "TSMHead",
    "TSNAudioHead",
    "TSNHead",
    "TimeSformerHead",
    "UniFormerHead",
    "VideoPrismHead",
    "X3DHead",
]
