"""`mmaction.models.heads`, thin over Kinema."""

from kinema.models import AvgConsensus, BaseHead, I3DHead, SlowFastHead, TPNHead, TRNHead, TSMHead, TSNHead, X3DHead

__all__ = [
    "AvgConsensus",
    "BaseHead",
    "I3DHead",
    "SlowFastHead",
    "TPNHead",
    "TRNHead",
    "TSMHead",
    "TSNHead",
    "X3DHead",
]
