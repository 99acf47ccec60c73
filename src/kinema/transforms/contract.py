"""A test pipeline as the parts that travel with a checkpoint: how frames are sampled, and what is done to them."""

from collections.abc import Mapping, Sequence
from typing import Any

from kinema.registry import TRANSFORMS
from kinema.transforms.decoding import DecodeVideo, OpenVideo, is_kind

Step = Mapping[str, Any]


def split_pipeline(pipeline: Sequence[Step]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]] | None:
    """Split the config of a video pipeline.

    Args:
        pipeline: configs of transforms, one of which opens and one of which decodes the video.

    Returns:
        The sampling steps (between opening and decoding) and the preprocessing steps (behind it);
        None when a step is no config, or the pipeline does not open and decode a video by Kinema's
        transforms.
    """
    if not all(isinstance(step, Mapping) and isinstance(step.get("type"), str) for step in pipeline):
        return None
    parts = [TRANSFORMS.get(step["type"]) for step in pipeline]
    opening = [place for place, part in enumerate(parts) if is_kind(part, OpenVideo)]
    decoding = [place for place, part in enumerate(parts) if is_kind(part, DecodeVideo)]
    if len(opening) != 1 or len(decoding) != 1 or not opening[0] < decoding[0]:
        return None
    steps = [dict(step) for step in pipeline]
    return steps[opening[0] + 1 : decoding[0]], steps[decoding[0] + 1 :]


def join_pipeline(sampling: Sequence[Step], preprocessing: Sequence[Step]) -> list[dict[str, Any]]:
    """The pipeline that `split_pipeline` split."""
    opening, decoding = {"type": "OpenVideo"}, {"type": "DecodeVideo"}
    return [opening, *map(dict, sampling), decoding, *map(dict, preprocessing)]
