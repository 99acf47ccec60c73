"""What every dataset shares: where its files are, its list of samples in shared storage, the pipeline."""

import copy
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch.utils.data import Dataset

from kinema.datasets.annotations.class_names import read_class_names
from kinema.datasets.annotations.json_files import parse_json
from kinema.datasets.storage.columns import ColumnSamples, LabelColumn, PickledSamples, join_path
from kinema.errors import AnnotationError, VideoError
from kinema.files import read_bytes
from kinema.transforms import Compose


class BaseDataset(Dataset):
    """A list of samples, each a dict, that a pipeline turns into what a model takes.

    A subclass overrides `load_data_list()`; it may extend `get_data_info(idx)`. After loading, the
    list lies in one buffer, pickled or by column, so that worker processes share it.

    Args:
        ann_file: annotation file; a relative one is taken from `data_root`.
        metainfo: what is known of the whole set, e.g. `dict(classes=[...])`; over the class's
            METAINFO. `classes` may be a text file with one name a line; of another text that is the
            path of a file the lines are taken, too.
        data_root: folder that `ann_file` and the folders of `data_prefix` are relative to.
        data_prefix: folders of the samples' files by kind, e.g. `dict(video="train")`.
        filter_cfg: for `filter_data()`, which a subclass may override.
        indices: take only the first `indices` samples, or those with these indices.
        serialize_data: keep the list in one buffer; False leaves dicts in `data_list`.
        pipeline: transforms, or configs of transforms.
        test_mode: a sample that the pipeline rejects is an error, not replaced by another.
        lazy_init: load the list at the first use, not now.
        max_refetch: how many other samples to try when the pipeline rejects one in training.

    Raises:
        AnnotationError: the annotation file is missing or wrong.
        TypeError: an argument is of the wrong type.
    """

    METAINFO: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        ann_file: str | os.PathLike | None = "",
        metainfo: Mapping[str, Any] | None = None,
        data_root: str | os.PathLike | None = "",
        data_prefix: Mapping[str, Any] | None = None,
        filter_cfg: dict[str, Any] | None = None,
        indices: int | Sequence[int] | None = None,
        serialize_data: bool = True,
        pipeline: Sequence[Mapping[str, Any] | Callable[[Any], Any]] = (),
        test_mode: bool = False,
        lazy_init: bool = False,
        max_refetch: int = 1000,
    ) -> None:
        if metainfo is not None and not isinstance(metainfo, Mapping):
            raise TypeError(f"metainfo must be a dict, got {type(metainfo).__name__}: {metainfo!r}")
        self._metainfo = {**copy.deepcopy(self.METAINFO), **copy.deepcopy(dict(metainfo or {}))}
        for key, value in self._metainfo.items():
            if isinstance(value, str | os.PathLike) and (key == "classes" or (value and Path(value).is_file())):
                self._metainfo[key] = _read_names(value)
        self.data_root = os.fspath(data_root or "")
        self.ann_file = join_path(self.data_root, os.fspath(ann_file)) if ann_file else ""
        prefix = {"img_path": ""} if data_prefix is None else dict(data_prefix)
        for kind, folder in prefix.items():
            if not isinstance(folder, str | os.PathLike | None):
                raise TypeError(f"data_prefix[{kind!r}] must be a path, got {type(folder).__name__}: {folder!r}")
        self.data_prefix = {kind: join_path(self.data_root, folder) for kind, folder in prefix.items()}
        self.filter_cfg = copy.deepcopy(filter_cfg)
        self._indices = indices
        self.serialize_data = serialize_data
        self.test_mode = test_mode
        self.max_refetch = max_refetch
        self.data_list: list[dict[str, Any]] = []
        self._samples: ColumnSamples | PickledSamples | None = None  # None: data_list holds them
        self._fully_initialized = False
        self.pipeline = Compose(pipeline)
        if not lazy_init:
            self.full_init()

    # ---- loading

    def full_init(self) -> None:
        """Load, filter and store the list of samples; does nothing the second time."""
        if self._fully_initialized:
            return
        loaded = self.load_data_list()
        own_filter = type(self).filter_data is not BaseDataset.filter_data
        if isinstance(loaded, ColumnSamples) and self.serialize_data and not own_filter:
            self._samples = loaded
            if self._indices is not None:
                self._samples = loaded.take(_chosen(self._indices, len(loaded)))
        else:
            self.data_list = list(loaded)
            self.data_list = list(self.filter_data())
            if self._indices is not None:
                self.data_list = [self.data_list[i] for i in _chosen(self._indices, len(self.data_list))]
            if self.serialize_data:
                self._samples, self.data_list = PickledSamples.from_dicts(self.data_list), []
        self._fully_initialized = True

    def load_data_list(self) -> list[dict[str, Any]] | ColumnSamples:
        """Samples from a JSON file `{"metainfo": {...}, "data_list": [{...}, ...]}`; a subclass reads its own format.

        Returns:
            A list of dicts; or `ColumnSamples`, which hold a million clips in little memory.

        Raises:
            AnnotationError: the file is missing, no JSON, or of another form.
            TypeError: `parse_data_info` returns anything else than dicts.
        """
        try:
            content = parse_json(read_bytes(self.ann_file), Path(self.ann_file), "JSON")
        except OSError as error:
            raise AnnotationError(
                f"{self.ann_file or 'ann_file'}: cannot be read: {error.strerror or error}"
            ) from error
        if not isinstance(content, dict) or not {"data_list", "metainfo"} <= set(content):
            raise AnnotationError(f"{self.ann_file}: expected an object with the keys 'metainfo' and 'data_list'")
        for key, value in content["metainfo"].items():
            self._metainfo.setdefault(key, value)
        samples: list[dict[str, Any]] = []
        if not isinstance(content["data_list"], list):
            raise AnnotationError(f"{self.ann_file}: 'data_list' must be a list, got {content['data_list']!r}")
        for raw in content["data_list"]:
            info = self.parse_data_info(raw)
            parsed = info if isinstance(info, list) else [info]
            for sample in parsed:
                if not isinstance(sample, Mapping):
                    raise TypeError(
                        f"parse_data_info of {type(self).__name__} must return a dict or a list of dicts, got"
                        f" {type(sample).__name__}: {sample!r}"
                    )
            samples.extend(parsed)
        return samples

    def parse_data_info(self, raw_data_info: dict[str, Any]) -> dict[str, Any] | list[dict[str, Any]]:
        """One entry of the annotation file -> one sample or several.

        The folders of `data_prefix` are put before paths.
        """
        for kind, folder in self.data_prefix.items():
            if kind in raw_data_info:
                raw_data_info[kind] = join_path(folder, raw_data_info[kind])
        return raw_data_info

    def filter_data(self) -> list[dict[str, Any]]:
        """The samples to keep; a subclass may use `filter_cfg`."""
        return self.data_list

    # ---- access

    @property
    def metainfo(self) -> dict[str, Any]:
        """A copy of what is known of the whole set."""
        return copy.deepcopy(self._metainfo)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """A fresh dict of sample `idx`, with `sample_idx`, before the pipeline."""
        self.full_init()
        count = len(self)
        if not -count <= idx < count:
            raise IndexError(f"sample {idx} of a dataset of {count}")
        place = idx % count
        info = copy.deepcopy(self.data_list[place]) if self._samples is None else self._samples[place]
        info |= {key: value for key, value in self.common_info().items() if key not in info} | {"sample_idx": place}
        num_classes = self.multi_hot_classes()
        if num_classes is not None and info.get("label") is not None and not _is_multi_hot(info["label"]):
            hot = np.zeros(num_classes, dtype=np.float32)
            hot[info["label"]] = 1
            info["label"] = hot
        return info

    def multi_hot_classes(self) -> int | None:
        """N where samples are listed with several class indices, which become (N,) float32 of 0 and 1."""
        return None

    def common_info(self) -> dict[str, Any]:
        """What every sample has, unless the list of samples says otherwise."""
        return {}

    def get_cat_ids(self, idx: int) -> list[int]:
        """Class indices of sample `idx`.

        Raises:
            ValueError: it has no label.
        """
        info = self.get_data_info(idx)
        if info.get("label") is None:
            raise ValueError(
                f"{type(self).__name__}: sample {idx} has no label: what counts classes, such as ClassBalancedSampler,"
                " needs one of every sample"
            )
        label = info["label"]
        if isinstance(label, np.ndarray) and label.ndim:
            return np.flatnonzero(label).tolist()
        return list(label) if isinstance(label, Sequence) else [int(label)]

    def label_column(self) -> LabelColumn:
        """Class indices of all samples: of a million in milliseconds, where the dataset holds columns."""
        self.full_init()
        own = any(
            getattr(type(self), name) is not getattr(BaseDataset, name) for name in ("get_cat_ids", "get_data_info")
        )
        labels = self._samples.columns.get("label") if isinstance(self._samples, ColumnSamples) and not own else None
        if isinstance(labels, LabelColumn):
            return LabelColumn(labels.values, labels.ends)
        return LabelColumn.from_lists(self.get_cat_ids(index) for index in range(len(self)))

    def prepare_data(self, idx: int) -> Any:
        """Sample `idx` after the pipeline; None when the pipeline rejects it."""
        return self.pipeline(self.get_data_info(idx))

    def __getitem__(self, idx: int) -> Any:
        """Sample `idx` after the pipeline; in training another random one when the pipeline rejects it.

        Raises:
            ValueError: rejected in test mode, or `max_refetch` others were rejected too.
        """
        self.full_init()
        data = self.prepare_data(idx)
        if data is not None:
            return data
        if self.test_mode:
            raise ValueError(f"the pipeline returned None for sample {idx}, which test mode does not replace")
        for _ in range(self.max_refetch):
            try:
                data = self.prepare_data(self._rand_another())
            except VideoError:  # of another sample than the one asked for: it is reported when its own turn comes
                continue
            if data is not None:
                return data
        raise ValueError(
            f"the pipeline rejected sample {idx} and {self.max_refetch} others: check its transforms and the files"
        )

    def _rand_another(self) -> int:
        """Index of the sample that takes the place of a rejected one."""
        return int(np.random.randint(0, len(self)))

    @property
    def data_bytes(self) -> np.ndarray:
        """The pickled samples, one after the other, uint8; samples by column have none."""
        return self._pickled().packed()[0]

    @property
    def data_address(self) -> np.ndarray:
        """Where each sample ends in `data_bytes`, int64."""
        return self._pickled().packed()[1]

    def _pickled(self) -> PickledSamples:
        if not isinstance(self._samples, PickledSamples):
            raise AttributeError(f"the samples of this {type(self).__name__} are not pickled into data_bytes")
        return self._samples

    def __len__(self) -> int:
        self.full_init()
        return len(self.data_list) if self._samples is None else len(self._samples)

    # ---- subsets

    def get_subset_(self, indices: int | Sequence[int]) -> None:
        """Keep only the first (negative: last) `indices` samples, or those with these indices, in place."""
        self.full_init()
        chosen = _chosen(indices, len(self))
        if self._samples is None:
            self.data_list = [self.data_list[i] for i in chosen]
        else:
            self._samples = self._samples.take(chosen)

    def get_subset(self, indices: int | Sequence[int]) -> "BaseDataset":
        """A dataset of the first (negative: last) `indices` samples, or of those with these indices."""
        subset = copy.copy(self)
        subset.get_subset_(indices)
        return subset


def force_full_init(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for a dataset's method: load the list of samples before the call when it was not loaded yet."""

    @functools.wraps(method)
    def wrapper(self: BaseDataset, *args: Any, **kwargs: Any) -> Any:
        self.full_init()
        return method(self, *args, **kwargs)

    return wrapper


def _is_multi_hot(label: Any) -> bool:
    """Whether a label is a vector of 0 and 1 already, not class indices."""
    return hasattr(label, "dtype") and not np.issubdtype(np.asarray(label).dtype, np.integer)


def _read_names(path: str | os.PathLike) -> list[str]:
    """The names in a text file, one a line."""
    if not Path(path).exists():
        raise AnnotationError(
            f"{path}: the class names cannot be read: No such file or directory; metainfo needs "
            "classes=[name, ...], or a text file with one name a line"
        )
    return list(read_class_names(Path(path)))


def _chosen(indices: int | Sequence[int], count: int) -> np.ndarray:
    """Indices that `indices` chooses out of `count`: the first n, the last n (negative), or the given ones."""
    if isinstance(indices, int | np.integer):
        return np.arange(count)[:indices] if indices >= 0 else np.arange(count)[indices:]
    if isinstance(indices, Sequence | np.ndarray) and not isinstance(indices, str):
        return np.asarray(indices, dtype=np.int64)
    raise TypeError(f"indices must be a whole number or a sequence of them, got {type(indices).__name__}: {indices!r}")
