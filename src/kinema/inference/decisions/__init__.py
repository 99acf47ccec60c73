"""From scores over time to segments: thresholds, smoothing, hysteresis, merging, minimum duration."""

from kinema.inference.decisions.settings import DEFAULT_THRESHOLD, DecisionSettings
from kinema.inference.decisions.smoothing import Cell
from kinema.inference.decisions.tracker import Event, EventTracker
from kinema.inference.decisions.windows import OverlapMean, WindowTracker

__all__ = ["DEFAULT_THRESHOLD", "Cell", "DecisionSettings", "Event", "EventTracker", "OverlapMean", "WindowTracker"]
