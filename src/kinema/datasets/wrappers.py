"""Datasets made of datasets: several in a row, one several times, rare classes more often."""

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from kinema.errors import ConfigError
from kinema.registry import DATASETS
from kinema.transforms import Compose


class _View(Dataset):
    """Samples of one dataset in an order of the view's own; `_order()` gives their indices."""

    def __init__(self, dataset: Any, lazy_init: bool) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, Mapping) else dataset
        if not (isinstance(self.dataset, Dataset) or hasattr(self.dataset, "get_data_info")):
            raise TypeError(
                f"{type(self).__name__} wraps a dataset or its config, got {type(dataset).__name__}: {dataset!r}"
            )
        self._indices = np.zeros(0, dtype=np.int64)
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    def _order(self) -> np.ndarray:
        raise NotImplementedError

    def full_init(self) -> None:
        """Load the dataset's list of samples; does nothing the second time."""
        if self._fully_initialized:
            return
        if hasattr(self.dataset, "full_init"):
            self.dataset.full_init()
        self._indices = self._order()
        self._fully_initialized = True

    @property
    def metainfo(self) -> dict[str, Any]:
        """What is known of the whole set."""
        return copy.deepcopy(self.dataset.metainfo)

    @property
    def test_mode(self) -> bool:
        """Whether the dataset is for evaluation."""
        return bool(getattr(self.dataset, "test_mode", False))

    def _get_ori_dataset_idx(self, idx: int) -> int:
        """Index of sample `idx` in the dataset."""
        self.full_init()
        return int(self._indices[idx])

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Sample `idx` before the pipeline."""
        self.full_init()
        info: dict[str, Any] = self.dataset.get_data_info(int(self._indices[idx]))
        return info

    def get_cat_ids(self, idx: int) -> list[int]:
        """Class indices of sample `idx`."""
        self.full_init()
        ids: list[int] = self.dataset.get_cat_ids(int(self._indices[idx]))
        return ids

    def __getitem__(self, idx: int) -> Any:
        self.full_init()
        return self.dataset[int(self._indices[idx])]

    def __len__(self) -> int:
        self.full_init()
        return len(self._indices)


@DATASETS.register_module()
class RepeatDataset(_View):
    """One dataset several times in a row: longer epochs for small sets.

    Args:
        dataset: a dataset, or its config.
        times: how many times.
        lazy_init: load the list at the first use, not now.

    Raises:
        ValueError: `times` below 1.
        TypeError: `dataset` is none.
    """

    def __init__(self, dataset: Any, times: int, lazy_init: bool = False) -> None:
        if times < 1:
            raise ValueError(f"RepeatDataset: times must be at least 1, got {times}")
        self.times = times
        super().__init__(dataset, lazy_init)

    def _order(self) -> np.ndarray:
        return np.tile(np.arange(len(self.dataset)), self.times)


class FirstSamples(_View):
    """The first samples of a dataset, all of them where it has fewer.

    Args:
        dataset: the dataset.
        count: how many.
    """

    def __init__(self, dataset: Any, count: int) -> None:
        self.count = count
        super().__init__(dataset, lazy_init=False)

    def _order(self) -> np.ndarray:
        return np.arange(min(self.count, len(self.dataset)))


@DATASETS.register_module()
class ClassBalancedDataset(_View):
    """A dataset whose rare classes come more often.

    With f the share of samples that have a class, each sample comes ceil(max(1, sqrt(threshold /
    f))) times, f being that of its rarest class.

    Args:
        dataset: a dataset with `get_cat_ids(idx)`, or its config.
        oversample_thr: share of samples below which a class is repeated.
        lazy_init: load the list at the first use, not now.

    Raises:
        ValueError: `oversample_thr` outside (0, 1].
        TypeError: `dataset` is none.

    Source: Gupta et al. 2019, arXiv:1908.03195, section 5 (repeat factor sampling).
    """

    def __init__(self, dataset: Any, oversample_thr: float, lazy_init: bool = False) -> None:
        if not 0 < oversample_thr <= 1:
            raise ValueError(
                f"ClassBalancedDataset: oversample_thr must be above 0 and at most 1, got {oversample_thr}"
            )
        self.oversample_thr = oversample_thr
        super().__init__(dataset, lazy_init)

    def _order(self) -> np.ndarray:
        factors = self._get_repeat_factors(self.dataset, self.oversample_thr)
        return np.repeat(np.arange(len(factors)), np.ceil(factors).astype(np.int64))

    def _get_repeat_factors(self, dataset: Any, repeat_thr: float) -> list[float]:
        """How often each sample of the dataset comes, before it is rounded up."""
        count = len(dataset)
        classes = [set(dataset.get_cat_ids(index)) for index in range(count)]
        seen = Counter(label for of_sample in classes for label in of_sample)
        factor = {label: max(1.0, (repeat_thr * count / number) ** 0.5) for label, number in seen.items()}
        return [max((factor[label] for label in of_sample), default=1.0) for of_sample in classes]

    @property
    def repeat_indices(self) -> list[int]:
        """For each sample its index in the dataset; may be set."""
        self.full_init()
        places: list[int] = self._indices.tolist()
        return places

    @repeat_indices.setter
    def repeat_indices(self, indices: Sequence[int]) -> None:
        self._indices = np.asarray(indices, dtype=np.int64)


@DATASETS.register_module()
class ConcatDataset(Dataset):
    """Several datasets in a row.

    Args:
        datasets: datasets, or their configs; all of the same metainfo.
        lazy_init: load the lists at the first use, not now.
        ignore_keys: keys of the metainfo that may differ; the first dataset's count.

    Raises:
        ConfigError: there is no dataset, or their metainfo differs.
    """

    def __init__(
        self, datasets: Sequence[Any], lazy_init: bool = False, ignore_keys: str | Sequence[str] | None = None
    ) -> None:
        if not datasets:
            raise ConfigError("ConcatDataset needs at least one dataset")
        self.datasets = [DATASETS.build(dataset) if isinstance(dataset, Mapping) else dataset for dataset in datasets]
        ignored = {ignore_keys} if isinstance(ignore_keys, str) else set(ignore_keys or ())
        self._starts = np.zeros(0, dtype=np.int64)
        self._fully_initialized = False
        self._ignored = ignored
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Load the datasets' lists of samples; does nothing the second time."""
        if self._fully_initialized:
            return
        for dataset in self.datasets:
            dataset.full_init()
        self._check_metainfo()
        self._starts = np.concatenate([[0], np.cumsum([len(dataset) for dataset in self.datasets])])
        self._fully_initialized = True

    def _check_metainfo(self) -> None:
        first = self.datasets[0].metainfo
        for place, dataset in enumerate(self.datasets[1:], start=1):
            other = dataset.metainfo
            for key in sorted(({*first, *other}) - self._ignored):
                if first.get(key) != other.get(key):
                    raise ConfigError(
                        f"ConcatDataset: dataset {place} has another {key!r} in its metainfo than dataset 0: "
                        f"{other.get(key)!r} and {first.get(key)!r}; give them the same, or ignore_keys={key!r}"
                    )

    @property
    def metainfo(self) -> dict[str, Any]:
        """What is known of the whole set: the first dataset's."""
        return copy.deepcopy(self.datasets[0].metainfo)

    @property
    def test_mode(self) -> bool:
        """Whether the datasets are for evaluation."""
        return bool(getattr(self.datasets[0], "test_mode", False))

    @property
    def cumulative_sizes(self) -> list[int]:
        """Where each dataset's samples end."""
        self.full_init()
        ends: list[int] = self._starts[1:].tolist()
        return ends

    def _get_ori_dataset_idx(self, idx: int) -> tuple[int, int]:
        """Place of the dataset of sample `idx`, and the sample's index there."""
        self.full_init()
        count = int(self._starts[-1])
        if not -count <= idx < count:
            raise IndexError(f"sample {idx} of a dataset of {count}")
        idx %= count
        which = int(np.searchsorted(self._starts, idx, side="right")) - 1
        return which, int(idx - self._starts[which])

    def _find(self, idx: int) -> tuple[Any, int]:
        """The dataset of sample `idx`, and its index there."""
        which, index = self._get_ori_dataset_idx(idx)
        return self.datasets[which], index

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Sample `idx` before the pipeline."""
        dataset, index = self._find(idx)
        info: dict[str, Any] = dataset.get_data_info(index)
        return info

    def get_cat_ids(self, idx: int) -> list[int]:
        """Class indices of sample `idx`."""
        dataset, index = self._find(idx)
        ids: list[int] = dataset.get_cat_ids(index)
        return ids

    def __getitem__(self, idx: int) -> Any:
        dataset, index = self._find(idx)
        return dataset[index]

    def __len__(self) -> int:
        self.full_init()
        return int(self._starts[-1])


# ---- what datasets are made of


def innermost_datasets(dataset: Any) -> Iterator[Any]:
    """The datasets with a pipeline that a dataset is made of; itself where it has one."""
    if isinstance(getattr(dataset, "pipeline", None), Compose):
        yield dataset
        return
    for part in (getattr(dataset, "dataset", None), *(getattr(dataset, "datasets", None) or ())):
        if part is not None:
            yield from innermost_datasets(part)


def with_innermost(dataset: Any, change: Callable[[Any], Any]) -> Any:
    """A copy of a dataset in which `change` has replaced every `innermost_datasets`; the original stays as it is."""
    if isinstance(getattr(dataset, "pipeline", None), Compose):
        return change(dataset)
    copied = copy.copy(dataset)
    if isinstance(inner := getattr(dataset, "dataset", None), Dataset):
        copied.dataset = with_innermost(inner, change)
    elif isinstance(parts := getattr(dataset, "datasets", None), list):
        copied.datasets = [with_innermost(part, change) for part in parts]
    return copied
