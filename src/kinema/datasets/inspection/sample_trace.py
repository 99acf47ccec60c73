"""A sample on its way through the pipeline: the frames that were chosen, and what reaches the model."""

import copy
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kinema.datasets.balanced import labels_of, rarest_classes
from kinema.datasets.inspection.timing import transform_names
from kinema.datasets.repeated_augmentation import RepeatAugDataset
from kinema.datasets.wrappers import innermost_datasets, with_innermost
from kinema.errors import KinemaError
from kinema.randomness import sample_randomness


@dataclass
class WatchedSample:
    """A sample as `watch_sample` saw it.

    Attributes:
        path: its file or folder of frames; "" where the dataset does not say.
        label: class index, (N,) multi-hot or soft, as the pipeline was given it; None where there
            is none.
        frames: some of the decoded frames, evenly spaced, (H, W, 3) or (H, W) uint8 each.
        places: of these among the frames that the pipeline decoded.
        frame_numbers: (T,) the numbers in the video of all decoded frames; None where they are not
            known.
        num_frames: how many were decoded, T.
        total_frames: length of the video; None where it is not known.
        packed: what the pipeline gave: as a rule a dict with `inputs`.
        runs: how often the pipeline was run; above 1 it rejected samples, and this is another than
            was asked for.
        error: why there is nothing to show, in one line.
    """

    path: str = ""
    label: Any = None
    frames: list[np.ndarray] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    frame_numbers: np.ndarray | None = None
    num_frames: int = 0
    total_frames: int | None = None
    packed: Any = None
    runs: int = 0
    error: str | None = None


def watch_sample(dataset: Any, index: int, *, seed: int = 0, epoch: int = 0, num_shown: int = 8) -> WatchedSample:
    """Make a sample as training makes it, and keep what there is to see.

    Args:
        dataset: map-style; its decoded frames are seen where it, or the datasets it is made of,
            have a `Compose` as `pipeline` (not those of a `RepeatAugDataset`, which runs the steps
            in another order).
        index: of the sample.
        seed: of the run.
        epoch: number of the pass over the data; with `seed` and `index` it decides all random
            numbers.
        num_shown: decoded frames to keep, at most.

    Returns:
        The sample; one that cannot be made, for whatever reason, has an `error`.
    """
    watch = _Watch(num_shown)
    seen = watch.seen
    watched = with_innermost(dataset, watch.over)
    try:
        with sample_randomness(seed, epoch, index):
            seen.packed = watched[index]
    except KinemaError as error:
        seen.error = " ".join(str(error).split())
    except Exception as error:  # of a transform of the user's own: the others are to be shown all the same
        seen.error = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if not seen.path and hasattr(dataset, "get_data_info"):
        watch.look_at(dataset.get_data_info(index))
    return seen


def pipeline_of(dataset: Any) -> list[Callable[[Any], Any]]:
    """The transforms of a dataset, or of the first of those that it is made of; empty where it has none."""
    return next((steps for part in innermost_datasets(dataset) if (steps := list(part.pipeline.transforms))), [])


def choose_samples(dataset: Any, count: int, seed: int = 0) -> list[int]:
    """Choose samples at random, of all classes as equally many as there are.

    Args:
        dataset: with a length; where it gives no classes, all samples count as of the same class.
        count: how many, at most.
        seed: another seed gives others.

    Returns:
        Their indices, class by class.
    """
    try:
        classes = rarest_classes(labels_of(dataset))
    except TypeError:
        classes = np.zeros(len(dataset), dtype=np.int64)
    order = np.random.default_rng(seed).permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    _, starts, counts = np.unique(classes[order], return_index=True, return_counts=True)
    turn = np.arange(len(order)) - np.repeat(starts, counts)  # the first of every class, then the second, ...
    chosen = order[np.argsort(turn, kind="stable")[:count]]
    return [int(index) for index in chosen[np.lexsort((chosen, classes[chosen]))]]


class _Watch:
    """Looks at a sample after every transform."""

    def __init__(self, num_shown: int) -> None:
        self.num_shown = num_shown
        self.seen = WatchedSample()

    def over(self, dataset: Any) -> Any:
        """A copy of a dataset whose transforms are watched."""
        steps = dataset.pipeline.transforms
        if isinstance(dataset, RepeatAugDataset) or not steps:
            return dataset
        watched = copy.copy(dataset)
        watched.pipeline = copy.copy(dataset.pipeline)
        watched.pipeline.transforms = [
            _WatchedStep(step, name, self, is_first=place == 0)
            for place, (step, name) in enumerate(zip(steps, transform_names(steps), strict=True))
        ]
        return watched

    def begin(self) -> None:
        runs = self.seen.runs
        vars(self.seen).update(vars(WatchedSample(runs=runs + 1)))

    def look_at(self, sample: Any) -> None:
        if not isinstance(sample, Mapping):
            return
        seen = self.seen
        seen.path = str(sample.get("filename") or sample.get("frame_dir") or seen.path)
        seen.label = sample.get("label", seen.label)
        seen.total_frames = sample.get("total_frames", seen.total_frames)
        if "imgs" not in sample or seen.frames or len(sample["imgs"]) == 0:
            return
        frames = sample["imgs"]
        seen.places = evenly_spaced(len(frames), self.num_shown)
        seen.frames = [np.array(frames[place]) for place in seen.places]  # copies: transforms may write into them
        seen.num_frames = len(frames)
        numbers = np.asarray(sample.get("frame_inds", ())).reshape(-1)
        seen.frame_numbers = numbers if len(numbers) == len(frames) else None


def evenly_spaced(count: int, most: int) -> list[int]:
    """Up to `most` places in [0, count), the first and the last among them, ascending."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()


class _WatchedStep:
    """A transform whose results are looked at."""

    def __init__(self, transform: Callable[[Any], Any], name: str, watch: _Watch, *, is_first: bool) -> None:
        functools.update_wrapper(self, transform, assigned=("__doc__",), updated=())
        self.__name__ = name  # for the messages of `Compose`
        self.transform = transform
        self.watch = watch
        self.is_first = is_first

    def __call__(self, sample: Any) -> Any:
        if self.is_first:
            self.watch.begin()
            self.watch.look_at(sample)
        sample = self.transform(sample)
        self.watch.look_at(sample)
        return sample
