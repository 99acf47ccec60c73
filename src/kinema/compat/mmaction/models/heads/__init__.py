"""`mmaction.models.heads`, thin over Kinema."""

from kinema.models import (
    AvgConsensus,
    BaseHead,
    I3DHead,
    SlowFastHead,
    TSMHead,
    TSNHead,
)

__all__ = [
    "AvgConsensus",
    "BaseHead",
    "I3DHead",
    "SlowFastHead",
    "TSMHead",
    "TSNHead",
]
