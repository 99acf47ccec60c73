"""Repeated augmentation: a video is decoded once and augmented several times."""

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kinema.arguments import takes_arguments_of
from kinema.datasets.collating import pseudo_collate
from kinema.datasets.video import VideoDataset
from kinema.errors import ConfigError
from kinema.registry import DATASETS, FUNCTIONS
from kinema.transforms import Compose, DecodeVideo, OpenVideo

Step = Callable[[Any], Any]


@FUNCTIONS.register_module()
def repeat_pseudo_collate(data_batch: Sequence[Any]) -> Any:
    """Batch the samples of a `RepeatAugDataset`.

    B lists of N samples become a batch of B * N, as `pseudo_collate` makes it.

    Args:
        data_batch: lists of samples; what is no list counts as one sample.
    """
    flat = [sample for entry in data_batch for sample in (entry if isinstance(entry, list) else [entry])]
    return pseudo_collate(flat)


@DATASETS.register_module()
class RepeatAugDataset(VideoDataset):
    """Videos with class labels, each as a list of `num_repeats` samples that differ in what the pipeline draws.

    Decoding is most of the work of a sample: a batch of 8 videos, 2 samples each, costs little more
    than 8 samples. Such lists need `repeat_pseudo_collate`, which `build_dataloader` uses for this
    dataset by default.

    Args:
        ann_file: see `VideoDataset`.
        pipeline: transforms that open the video (`OpenVideo`), sample, decode it (`DecodeVideo`)
            and augment.
        data_prefix: see `VideoDataset`.
        num_repeats: samples a video.
        sample_once: the samples of a video have the same frames; otherwise frames are sampled for
            each.
        **settings: further arguments of `VideoDataset`.

    Raises:
        ValueError: `num_repeats` below 1.
        ConfigError: the pipeline does not open and decode a video; or what `VideoDataset` raises.

    Source: Hoffer et al. 2020, arXiv:1901.09335.
    """

    collate_fn = staticmethod(repeat_pseudo_collate)

    @takes_arguments_of(VideoDataset)
    def __init__(
        self,
        ann_file: str | os.PathLike,
        pipeline: Sequence[Mapping[str, Any] | Step] = (),
        data_prefix: Mapping[str, Any] | None = None,
        num_repeats: int = 4,
        sample_once: bool = False,
        **settings: Any,
    ) -> None:
        if num_repeats < 1:
            raise ValueError(f"RepeatAugDataset: num_repeats must be at least 1, got {num_repeats}")
        self.num_repeats = num_repeats
        self.sample_once = sample_once
        super().__init__(ann_file, pipeline, data_prefix, **settings)
        _find_decoding(self.pipeline.transforms)  # says now what is missing

    def prepare_data(self, idx: int) -> list[Any] | None:
        """The samples of video `idx` after the pipeline; None when it rejects one of them."""
        return repeat_augmentation(
            self.pipeline.transforms, self.get_data_info(idx), self.num_repeats, sample_once=self.sample_once
        )


def repeat_augmentation(
    transforms: Sequence[Step], info: dict[str, Any], num_repeats: int, *, sample_once: bool = False
) -> list[Any] | None:
    """Run a pipeline several times, decoding once.

    Args:
        transforms: see `RepeatAugDataset`.
        info: the sample before the pipeline.
        num_repeats: how many samples to make.
        sample_once: sample frames once, not for each.

    Returns:
        The samples; None when a transform rejects one.

    Raises:
        ConfigError: the transforms do not open and decode a video.
    """
    opening, decoding = _find_decoding(transforms)
    opened = Compose(transforms[: opening + 1])(info)
    if opened is None:
        return None
    sampling = Compose(transforms[opening + 1 : decoding])
    samples = [sampling(_own(opened)) for _ in range(1 if sample_once else num_repeats)]
    if any(sample is None for sample in samples):
        return None
    frames = [np.asarray(sample["frame_inds"]).reshape(-1) for sample in samples]
    joined = {**samples[0], "frame_inds": np.concatenate(frames)}
    decoded = transforms[decoding](dict(joined))
    if decoded is None:
        return None
    clips = np.split(np.asarray(decoded.pop("imgs")), np.cumsum([len(indices) for indices in frames])[:-1])
    written = {key: value for key, value in decoded.items() if key not in joined or value is not joined[key]}
    augment = Compose(transforms[decoding + 1 :])
    augmented = []
    for repeat in range(num_repeats):
        place = 0 if sample_once else repeat
        sample = _own({**samples[place], **written})
        sample["imgs"] = clips[place].copy() if sample_once else clips[place]  # no two samples share pixels
        augmented.append(augment(sample))
    return None if any(sample is None for sample in augmented) else augmented


def _own(sample: Mapping[str, Any]) -> dict[str, Any]:
    """A copy that shares nothing but the open reader."""
    return {key: value if key == "video_reader" else copy.deepcopy(value) for key, value in sample.items()}


def _find_decoding(transforms: Sequence[Step]) -> tuple[int, int]:
    """Places of opening and decoding in a pipeline."""
    opening = [place for place, step in enumerate(transforms) if isinstance(step, OpenVideo)]
    decoding = [place for place, step in enumerate(transforms) if isinstance(step, DecodeVideo)]
    if len(opening) != 1 or len(decoding) != 1 or opening[0] > decoding[0]:
        names = ", ".join(type(step).__name__ for step in transforms)
        raise ConfigError(
            "RepeatAugDataset: the pipeline must open the video once (OpenVideo, DecordInit, ...) and then decode it"
            f" once (DecodeVideo, DecordDecode, ...), got {names or 'no transforms'}"
        )
    return opening[0], decoding[0]
