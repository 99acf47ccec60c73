"""From the frames of a window to the model's input, with what can be done frame by frame done once a frame."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kinema.errors import VideoError
from kinema.inference.inputs import pipeline_of_frames
from kinema.transforms import Compose
from kinema.transforms.cropping import CenterCrop
from kinema.transforms.decoding import DecodeVideo, write_frames
from kinema.transforms.geometry import Resize

_MOST_KNOWN_SAMPLINGS = 1000
_MANY_FRAMES = 10_000
SEGMENTS_SECONDS = 2.0  # default window of a model whose sampling covers a video of any length
USUAL_FPS = 25.0  # where the rate is unknown


class WindowPreparation:
    """The pipeline of a recognizer, cut into what chooses frames, what changes each frame, and the rest.

    Args:
        pipeline: configs of transforms, from `filename` to packed inputs.

    Raises:
        ConfigError: it decodes no video frames.
    """

    def __init__(self, pipeline: Sequence[dict[str, Any]]) -> None:
        steps = Compose(pipeline_of_frames(pipeline)).transforms
        decoding = next(place for place, step in enumerate(steps) if isinstance(step, DecodeVideo))
        self._sampling = Compose(steps[:decoding])
        behind = steps[decoding + 1 :]
        rest = next((place for place, step in enumerate(behind) if not _is_framewise(step)), len(behind))
        self._framewise = Compose(behind[:rest])
        self._rest = Compose(behind[rest:])
        self._samplings: dict[tuple[int, float], dict[str, Any]] = {}

    def frames_of(self, num_frames: int, fps: float, name: str) -> np.ndarray:
        """(n,) int64, ascending: the frames of a window of `num_frames` frames that the model sees."""
        return np.unique(np.asarray(self._sampled(num_frames, fps, name)["frame_inds"]).astype(np.int64))

    def _sampled(self, num_frames: int, fps: float, name: str) -> dict[str, Any]:
        """The sample behind the steps that choose frames."""
        key = num_frames, fps
        sample = self._samplings.get(key)
        if sample is None:
            start = {"label": -1, "start_index": 0, "modality": "RGB", "filename": name}
            sample = self._sampling({**start, "total_frames": num_frames, "avg_fps": fps})
            if sample is None:
                raise VideoError(f"{name}: a step of the recognizer's pipeline rejects a window of {num_frames} frames")
            if len(self._samplings) >= _MOST_KNOWN_SAMPLINGS:
                self._samplings.clear()
            self._samplings[key] = sample
        return sample

    def prepare(self, frames: np.ndarray, name: str) -> tuple[np.ndarray, dict[str, Any]]:
        """Do what is done frame by frame.

        Args:
            frames: (n, H, W, 3) uint8 RGB.
            name: what messages call the video.

        Returns:
            (n, h, w, 3) frames that share no memory with others than `frames`, and the keys of the
            sample that the steps wrote.
        """
        sample = write_frames({"filename": name, "modality": "RGB"}, frames)
        facts: dict[str, Any] = dict(self._framewise(sample))
        return np.ascontiguousarray(facts.pop("imgs")), facts

    def pack(
        self, num_frames: int, fps: float, frames: Mapping[int, np.ndarray], facts: Mapping[str, Any], name: str
    ) -> dict[str, Any]:
        """The model's input of a window.

        Args:
            num_frames: of the window.
            fps: of the window.
            frames: number in the window -> prepared frame; those of `frames_of` are enough.
            facts: what `prepare` gave beside them.
            name: what messages call the video.
        """
        sample = {key: _copied(value) for key, value in self._sampled(num_frames, fps, name).items()}
        images = np.stack([frames[number] for number in np.asarray(sample["frame_inds"]).astype(np.int64).tolist()])
        packed = self._rest({**sample, **{key: _copied(value) for key, value in facts.items()}, "imgs": images})
        if packed is None:
            raise VideoError(f"{name}: a step of the recognizer's pipeline rejects a window of {num_frames} frames")
        return dict(packed)

    def pack_piece(self, frames: np.ndarray, facts: Mapping[str, Any], name: str) -> dict[str, Any]:
        """The model's input of consecutive frames of a stream that it sees.

        Args:
            frames: (n, h, w, 3), prepared.
            facts: what `prepare` gave beside them.
            name: what messages call the stream.
        """
        count = len(frames)
        sampled = {"frame_inds": np.arange(count), "clip_len": count, "num_clips": 1, "frame_interval": 1}
        start = {"label": -1, "start_index": 0, "modality": "RGB", "filename": name, "total_frames": count}
        further = {key: _copied(value) for key, value in facts.items()}
        packed = self._rest({**start, **sampled, **further, "imgs": frames})
        if packed is None:
            raise VideoError(f"{name}: a step of the recognizer's pipeline rejects its frames")
        return dict(packed)

    @property
    def clip_len(self) -> int:
        """Frames of a clip."""
        return int(self._sampled(_MANY_FRAMES, 0.0, "the recognizer's pipeline").get("clip_len", 1))

    def clip_seconds(self, fps: float) -> float:
        """How much of a video at `fps` frames a second the model sees in one clip.

        `SEGMENTS_SECONDS` where its frames are spread over the whole video, however long that is.
        """
        spans = [self._clip_span(count, fps) for count in (_MANY_FRAMES, 2 * _MANY_FRAMES)]
        return SEGMENTS_SECONDS if spans[0] is None or spans[0] != spans[1] else spans[0] / (fps or USUAL_FPS)

    def _clip_span(self, num_frames: int, fps: float) -> int | None:
        """Frames from the first of a clip to the one behind its last; None of clips of single frames."""
        sample = self._sampled(num_frames, fps, "the recognizer's pipeline")
        clip_len = sample.get("clip_len")
        if not isinstance(clip_len, int | np.integer) or clip_len < 2:
            return None
        frames = np.asarray(sample["frame_inds"]).astype(np.int64).reshape(-1, int(clip_len))[0]
        return int(np.ptp(frames) + np.diff(frames).max())


def _is_framewise(step: Any) -> bool:
    """Does a step the same to every frame, whatever the other frames are?"""
    return type(step) in (Resize, CenterCrop) and not step.lazy


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray | dict | list) else value
