"""Balance: drawing rare classes more often, or weighing them more in the loss."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from kinema.datasets.base import BaseDataset
from kinema.datasets.positions import places_from
from kinema.datasets.samplers import RepeatedIndex, draw_shared_seed
from kinema.datasets.storage.columns import LabelColumn
from kinema.distributed import get_rank, get_world_size
from kinema.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class ClassBalancedSampler(Sampler[int]):
    """Samples of rare classes more often, those of frequent ones less often, each epoch anew.

    A class with n samples gets a share of the draws that is proportional to n ** (1 - power).
    Within a class all samples come equally often, up to one time. Where a sample comes several
    times in an epoch, each time has its own random numbers.

    A sample of several classes counts as one of its rarest class; samples without a class are a
    class of their own.

    The order is a function of (seed, epoch); process r of W takes places r, r + W, r + 2W, ... of
    it.

    Args:
        dataset: a dataset with `get_cat_ids(idx)`.
        power: 0 leaves the classes as they are (each sample comes once), 1 makes them equally
            frequent, 0.5 is in between: the square root of their frequencies.
        num_samples: draws an epoch, of all processes together; where they do not divide, the first
            ones come again. Default: the number of samples.
        shuffle: give the draws in random order, not in the dataset's.
        seed: of the draws; None draws one that all processes share.

    Raises:
        ValueError: `power` is out of [0, 1], or `num_samples` below 1.
        TypeError: the dataset does not give the classes of its samples.

    Source: square root: Mahajan et al. 2018, arXiv:1805.00932, section 2.2.
    """

    def __init__(
        self,
        dataset: Any,
        power: float = 1.0,
        *,
        num_samples: int | None = None,
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        if num_samples is not None and num_samples < 1:
            raise ValueError(f"ClassBalancedSampler: num_samples must be at least 1, got {num_samples}")
        self.dataset = dataset
        self.power = power
        self.shuffle = shuffle
        self.classes = rarest_classes(labels_of(dataset))
        self.weights = balanced_weights(self.classes, power)
        self.rank, self.world_size = get_rank(), get_world_size()
        self.seed = draw_shared_seed() if seed is None else seed
        self.epoch = 0
        self.num_draws = len(self.classes) if num_samples is None else num_samples
        self.num_samples = self.num_from(0)
        self.total_size = self.num_samples * self.world_size

    def __iter__(self) -> Iterator[int]:
        return self.iterate_from(0)

    def iterate_from(self, place: int) -> Iterator[int]:
        """This process's draws from place `place` of the epoch on; places count the draws of all processes."""
        generator = np.random.default_rng([self.seed, self.epoch])
        drawn = draw_balanced(self.classes, self.weights, self.num_draws, generator)
        if not self.shuffle:
            drawn.sort()
        places = np.asarray(self._places(place), dtype=np.int64)
        drawn = np.resize(drawn, max(len(drawn), places[-1] + 1 if len(places) else 0))  # repeats the first ones
        indices, repeats = drawn[places].tolist(), times_before(drawn)[places].tolist()
        return (
            RepeatedIndex(index, repeat) if repeat else index for index, repeat in zip(indices, repeats, strict=True)
        )

    def num_from(self, place: int) -> int:
        """How many draws `iterate_from` gives."""
        return len(self._places(place))

    def _places(self, place: int) -> range:
        return places_from(place, self.num_draws, self.rank, self.world_size)

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Take the draws of `epoch` from the next iteration on."""
        self.epoch = epoch


def labels_of(dataset: Any) -> LabelColumn:
    """The class indices of all samples of a dataset.

    Args:
        dataset: with `get_cat_ids(idx)`; of a `BaseDataset` they are read by column, where it holds
            columns.

    Raises:
        TypeError: it has no such method.
    """
    if isinstance(dataset, BaseDataset):
        return dataset.label_column()
    if not hasattr(dataset, "get_cat_ids"):
        raise TypeError(
            f"{type(dataset).__name__} does not give the classes of its samples: give it a method get_cat_ids(idx) ->"
            " list of class indices"
        )
    return LabelColumn.from_lists(dataset.get_cat_ids(index) for index in range(len(dataset)))


def count_classes(labels: LabelColumn, num_classes: int | None = None) -> np.ndarray:
    """How many samples each class has.

    Args:
        labels: of the samples, no class below 0; see `labels_of`.
        num_classes: N; default: up to the largest class.

    Returns:
        (N,) int64.
    """
    return np.bincount(labels.values.astype(np.int64), minlength=num_classes or 0)


# ---- drawing


def rarest_classes(labels: LabelColumn) -> np.ndarray:
    """(samples,) int64, the class of each sample that has the fewest samples; -1 where it has none."""
    values = labels.values.astype(np.int64)
    if labels.ends is None:
        return values
    counts = np.unique(values, return_inverse=True, return_counts=True)
    own_count = counts[2][counts[1]]
    owners = labels.owners()
    order = np.lexsort((values, own_count, owners))  # a sample's rarest class first, of two the lower
    rarest = np.full(len(labels), -1, dtype=np.int64)
    first, places = np.unique(owners[order], return_index=True)
    rarest[first] = values[order[places]]
    return rarest


def balanced_weights(classes: np.ndarray, power: float) -> np.ndarray:
    """The share of the draws that each sample gets.

    Args:
        classes: (samples,) the class of each.
        power: see `ClassBalancedSampler`.

    Returns:
        (samples,) float64 that add up to 1.

    Raises:
        ValueError: there are no samples, or `power` is out of [0, 1].
    """
    if not 0 <= power <= 1:
        raise ValueError(f"power must be from 0 (as they are) to 1 (all classes equally often), got {power}")
    if not len(classes):
        raise ValueError("there are no samples to draw from")
    _, which, counts = np.unique(classes, return_inverse=True, return_counts=True)
    weights = counts[which] ** -float(power)
    return weights / weights.sum()


def draw_balanced(
    classes: np.ndarray, weights: np.ndarray, num_samples: int, generator: np.random.Generator
) -> np.ndarray:
    """Draw samples so that each, and each class, comes as often as its weight says, rounded up or down.

    Systematic sampling: the samples lie on a line, class by class, each as long as its weight, and
    one of every 1/num_samples of the line is taken. So fewer samples are missed by chance than in
    independent draws: with equal weights each comes once.

    Args:
        classes: (samples,) the class of each.
        weights: (samples,) that add up to 1.
        num_samples: how many to draw.
        generator: of the random numbers.

    Returns:
        (num_samples,) int64 indices in random order.
    """
    order = generator.permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    ends = np.cumsum(weights[order])
    ends *= num_samples / ends[-1]
    places = np.searchsorted(ends, generator.random() + np.arange(num_samples), side="right")
    drawn = order[np.minimum(places, len(order) - 1)]
    return generator.permutation(drawn)


def times_before(indices: np.ndarray) -> np.ndarray:
    """(n,) int64: how often each index came before its place."""
    order = np.argsort(indices, kind="stable")
    in_order = indices[order]
    is_first = np.r_[True, in_order[1:] != in_order[:-1]][: len(indices)]
    starts = np.maximum.accumulate(np.where(is_first, np.arange(len(indices)), 0))
    times = np.empty(len(indices), dtype=np.int64)
    times[order] = np.arange(len(indices)) - starts
    return times


# ---- weights of a loss


def inverse_frequency_weights(counts: np.ndarray, power: float = 1.0) -> np.ndarray:
    """Weights of classes in a loss, proportional to count ** -power.

    Args:
        counts: (N,) samples of each class.
        power: 1 lets all classes weigh the same in sum, 0.5 is milder, 0 weighs all samples the
            same.

    Returns:
        (N,) float64, whose mean over the classes that occur is 1; 0 of a class without samples.

    Raises:
        ValueError: a count is negative, no class has samples, or `power` is negative.
    """
    counts = _checked(counts)
    if power < 0:
        raise ValueError(f"power must be 0 or more, got {power}")
    return _with_mean_1(np.where(counts > 0, np.maximum(counts, 1) ** -float(power), 0.0))


def effective_number_weights(counts: np.ndarray, beta: float = 0.999) -> np.ndarray:
    """Weights of classes in a loss, proportional to (1 - beta) / (1 - beta ** count).

    Another sample of a class is worth less the more there are: of a class with far more than 1 / (1
    - beta) samples none adds anything.

    Args:
        counts: (N,) samples of each class.
        beta: in [0, 1); 0 weighs all classes by 1, towards 1 it becomes the inverse frequency.

    Returns:
        (N,) float64, whose mean over the classes that occur is 1; 0 of a class without samples.

    Raises:
        ValueError: a count is negative, no class has samples, or `beta` is out of range.

    Source: Cui et al. 2019, arXiv:1901.05555, section 4.
    """
    counts = _checked(counts)
    if not 0 <= beta < 1:
        raise ValueError(f"beta must be at least 0 and below 1, got {beta}")
    return _with_mean_1(np.where(counts > 0, (1 - beta) / (1 - beta ** np.maximum(counts, 1.0)), 0.0))


def _checked(counts: Any) -> np.ndarray:
    counts = np.asarray(counts, dtype=np.int64)
    if (counts < 0).any() or not counts.any():
        raise ValueError(f"expected how many samples each class has, some above 0, got {counts.tolist()}")
    return counts


def _with_mean_1(weights: np.ndarray) -> np.ndarray:
    return weights * (np.count_nonzero(weights) / weights.sum())
