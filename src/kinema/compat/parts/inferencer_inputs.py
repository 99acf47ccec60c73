"""What inferencers make of their inputs: the sample that a pipeline begins with, and a pipeline for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinema.errors import ConfigError
from kinema.registry import TRANSFORMS
from kinema.transforms import ArrayDecode, BaseTransform, DecodeVideo, OpenVideo, RawFrameDecode
from kinema.transforms.decoding import is_kind

_FORMATS = ("video", "array", "rawframes")
_FRAMES_BY_NAME = {"array": "ArrayDecode", "rawframes": "RawFrameDecode"}


@TRANSFORMS.register_module()
class InferencerPackInput(BaseTransform):
    """Make the sample that a pipeline begins with of a path, an array or a folder.

    Args:
        input_format: "video": path of a file; "array": (T, H, W, 3) uint8 RGB; "rawframes": path of
            a folder of images.
        filename_tmpl: names of the images in a folder.
        modality: of the frames.
        start_index: number of the first image in a folder.

    Raises:
        ValueError: `input_format` is none of these.
    """

    def __init__(
        self,
        input_format: str = "video",
        filename_tmpl: str = "img_{:05}.jpg",
        modality: str = "RGB",
        start_index: int = 1,
    ) -> None:
        if input_format not in _FORMATS:
            raise ValueError(f"input_format must be one of {', '.join(_FORMATS)}, got {input_format!r}")
        self.input_format = input_format
        self.filename_tmpl = filename_tmpl
        self.modality = modality
        self.start_index = start_index

    def transform(self, video: Any) -> Any:
        sample: dict[str, Any] = {"label": -1, "start_index": 0, "modality": self.modality}
        if self.input_format == "video":
            return {"filename": video, **sample}
        if self.input_format == "array":
            return {"array": video, "total_frames": len(video), **sample}
        total_frames = sum(1 for _ in Path(video).iterdir())
        sample |= {"start_index": self.start_index, "filename_tmpl": self.filename_tmpl}
        return {"frame_dir": video, "total_frames": total_frames, **sample}


def pipeline_for(input_format: str, steps: Sequence[Any]) -> list[Any]:
    """A pipeline of video files as it is, or one that takes frames of an array or a folder.

    Args:
        input_format: see `InferencerPackInput`.
        steps: configs of transforms.

    Raises:
        ConfigError: it decodes no frames.
    """
    if input_format == "video":
        return list(steps)
    decoding, frames = (DecodeVideo, RawFrameDecode, ArrayDecode), _FRAMES_BY_NAME[input_format]
    parts = [TRANSFORMS.get(step["type"]) if isinstance(step["type"], str) else step["type"] for step in steps]
    kept = [(step, part) for step, part in zip(steps, parts, strict=True) if not is_kind(part, OpenVideo)]
    if not any(is_kind(part, *decoding) for _, part in kept):
        raise ConfigError(f"the test pipeline decodes no frames, so it takes no input_format={input_format!r}")
    return [{"type": frames} if is_kind(part, *decoding) else step for step, part in kept]
