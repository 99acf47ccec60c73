"""Samples that cannot be loaded: what takes their place, and how the fact travels with the batch.

A worker hands on a batch together with the samples that were broken in it; the loader separates the
two in the main process. So nothing is lost with a worker, and what the training sees of a batch is
what the collate function made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from torch.utils.data import Dataset

from kinema.datasets.samplers import RepeatedIndex
from kinema.errors import KinemaError, VideoError
from kinema.randomness import sample_randomness, seeded

MAX_STEPS = 10  # samples tried after a broken one; more in a row are no accident
_COLLATING = 1  # last word of the key of a batch's random numbers, which a sample's has not
SMALL_SET = 10  # from so many samples on, one broken is never too many

# What is done about a broken sample: the next one takes its place, it is left out of the batch, or
# the error is raised.
WhenBroken = Literal["replace", "leave out", "stop"]


@dataclass(frozen=True)
class BrokenSample:
    """A sample whose video could not be read.

    Attributes:
        index: in the dataset.
        path: its file or folder of frames; `sample 12` where the dataset does not say.
        error: what is wrong, in one line that names the file.
        replaced_by: index of the sample in its place; None when it was left out, or the search for
            one failed.
        place: of the sample among those that the loader read in this epoch and process, from 0.
    """

    index: int
    path: str
    error: str
    replaced_by: int | None = None
    place: int = 0


@dataclass(frozen=True)
class Failure:
    """An error about the user's data, on its way from a worker: torch would bury its message in a traceback."""

    error: KinemaError
    broken: tuple[BrokenSample, ...] = ()


class LoadedBatch(NamedTuple):
    """What a worker hands on. A named tuple, for torch pins the memory of what is in one.

    Attributes:
        data: what the collate function made; None when no sample is left.
        broken: what was broken, `place` counted in this batch. Pinning memory may make a list of
            it.
        num_asked: samples that the sampler asked for.
        num_left: samples that the collate function got.
    """

    data: Any
    broken: Sequence[BrokenSample]
    num_asked: int
    num_left: int


@dataclass(frozen=True)
class _Loaded:
    """A sample, or its absence, with what was broken on the way to it."""

    key: tuple[int, int, int]  # epoch, index, repeat
    sample: Any = None
    is_there: bool = False
    broken: tuple[BrokenSample, ...] = ()


class SeededDataset(Dataset):
    """What the workers see of a dataset: samples by (epoch, index), each with its own random numbers.

    Args:
        dataset: map-style dataset.
        seed: of the samples' random numbers.
        when_broken: what to do about a sample whose loading raises a `VideoError`.
    """

    def __init__(self, dataset: Any, seed: int, when_broken: WhenBroken) -> None:
        self.dataset = dataset
        self.seed = seed
        self.when_broken = when_broken

    def __getitem__(self, key: tuple[int, int]) -> _Loaded | Failure:
        epoch, index = key
        repeat = index.repeat if isinstance(index, RepeatedIndex) else 0
        index = int(index)
        try:
            return _Loaded((epoch, index, repeat), self._load(epoch, index, repeat), is_there=True)
        except VideoError as error:
            if self.when_broken == "stop":
                return Failure(error)
            broken = [self._record(index, error)]
        except KinemaError as error:
            return Failure(error)
        if self.when_broken == "leave out":
            return _Loaded((epoch, index, repeat), broken=tuple(broken))
        return self._replacement(epoch, repeat, broken)

    def _load(self, epoch: int, index: int, repeat: int) -> Any:
        with sample_randomness(self.seed, epoch, index, repeat):
            return self.dataset[index]

    def _replacement(self, epoch: int, repeat: int, broken: list[BrokenSample]) -> _Loaded | Failure:
        """The next sample that can be loaded, seeded by its own index: the same one in any process."""
        index, count = broken[0].index, len(self.dataset)
        steps = min(MAX_STEPS, count - 1)
        for candidate in ((index + step) % count for step in range(1, steps + 1)):
            try:
                sample = self._load(epoch, candidate, repeat)
            except VideoError as error:
                broken.append(self._record(candidate, error))
            except KinemaError as error:
                return Failure(error, tuple(broken))
            else:
                records = tuple(replace(record, replaced_by=candidate) for record in broken)
                return _Loaded((epoch, index, repeat), sample, True, records)
        rest = f"and the {steps} samples after it are broken too" if steps else "and there is no other sample"
        hint = "check where the list says the videos are, or run `kinema data check`"
        return Failure(VideoError(f"{broken[0].error} ({rest}: {hint})"), tuple(broken))

    def _record(self, index: int, error: VideoError) -> BrokenSample:
        return BrokenSample(index, path_of(self.dataset, index), " ".join(str(error).split()))

    def __len__(self) -> int:
        return len(self.dataset)


def path_of(dataset: Any, index: int) -> str:
    """The file or folder of a sample, where the dataset gives it."""
    info = dataset.get_data_info(index) if hasattr(dataset, "get_data_info") else {}
    path = next((info[key] for key in ("filename", "frame_dir", "img_path") if key in info), None)
    return f"sample {index}" if path is None else str(path)


class BrokenAwareCollate:
    """Collate the samples that are there, or hand on the first failure.

    What the user's function draws is a function of the seed and of the batch's first sample.

    Args:
        collate: the user's function, from a list of samples to a batch.
        seed: of its random numbers.
    """

    def __init__(self, collate: Callable[[list[Any]], Any], seed: int) -> None:
        self.collate = collate
        self.seed = seed

    def __call__(self, loaded: list[_Loaded | Failure]) -> LoadedBatch | Failure:
        broken: tuple[BrokenSample, ...] = ()
        for place, sample in enumerate(loaded):
            broken += tuple(replace(record, place=place) for record in sample.broken)
            if isinstance(sample, Failure):
                return Failure(sample.error, broken)
        there = [sample for sample in loaded if isinstance(sample, _Loaded)]
        samples = [sample.sample for sample in there if sample.is_there]
        if not samples:
            return LoadedBatch(None, broken, len(loaded), 0)
        with seeded(self.seed, *there[0].key, _COLLATING):
            data = self.collate(samples)
        return LoadedBatch(data, broken, len(loaded), len(samples))


def num_allowed(num_samples: int, max_share: float) -> int:
    """How many samples of a dataset may be broken.

    Args:
        num_samples: of the whole dataset.
        max_share: in [0, 1].

    Returns:
        That share, rounded down; but one where any may be and there are at least `SMALL_SET`
        samples: a single broken clip says little about a small set.
    """
    floor = 1 if max_share > 0 and num_samples >= SMALL_SET else 0
    return max(
        int(max_share * num_samples + 1e-9), floor
    )  # 0.07 * 100 is a little more than 7, 0.29 * 100 a little less than 29
