"""Which clips a dataset has, as one hash: runs with the same hash saw the same clips with the same labels."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kinema.datasets.base import BaseDataset
from kinema.datasets.storage.columns import ColumnSamples, LabelColumn, NumberColumn, TextColumn
from kinema.datasets.wrappers import innermost_datasets

_PATH_KEYS = ("filename", "frame_dir", "audio_path")
_PART_KEYS = ("start_seconds", "end_seconds", "start_frame", "end_frame")
_AT_A_TIME = 100_000  # clips; bounds the memory


def hash_of_clips(dataset: Any) -> str | None:
    """The SHA-256 of the paths, labels and parts of a dataset's clips, in their order.

    A path counts from the folder that all clips of the dataset are below, so that the same clips
    in another place have the same hash.

    Args:
        dataset: a dataset, or wrappers around some.

    Returns:
        None where a dataset does not derive from `BaseDataset`: its clips are not known.
    """
    parts = list(innermost_datasets(dataset))
    if not parts or not all(isinstance(part, BaseDataset) for part in parts):
        return None
    digest = hashlib.sha256(str(len(dataset)).encode())  # a wrapper may take some of the clips only
    for part in parts:
        part.full_init()
        columns = part._samples.columns if isinstance(part._samples, ColumnSamples) else _columns_of(part)
        paths = next((columns[key] for key in _PATH_KEYS if isinstance(columns.get(key), TextColumn)), None)
        if isinstance(paths, TextColumn):
            _add_texts(digest, paths)
        labels = columns.get("label")
        if isinstance(labels, LabelColumn):
            digest.update(labels.values.astype(np.int64).tobytes() + labels.counts().tobytes())
        for key in _PART_KEYS:
            if isinstance(column := columns.get(key), NumberColumn):
                digest.update(key.encode() + column.numbers.astype(np.float64).tobytes())
    return digest.hexdigest()


def hash_of_names(names: Sequence[str]) -> str:
    """The SHA-256 of class names, in their order."""
    return hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()


def _columns_of(dataset: BaseDataset) -> Mapping[str, Any]:
    """What identifies the clips, of samples that are dicts."""
    samples: Any = dataset.data_list if dataset._samples is None else dataset._samples
    paths, labels = [], []
    parts: dict[str, list[float]] = {}
    for place in range(len(samples)):
        sample = samples[place]
        paths.append(next((os.fspath(sample[key]) for key in _PATH_KEYS if key in sample), ""))
        label = sample.get("label", ())
        labels.append(np.flatnonzero(label).tolist() if isinstance(label, np.ndarray) and label.ndim else label)
        for key in _PART_KEYS:
            if key in sample:
                parts.setdefault(key, []).append(sample[key])
    columns: dict[str, Any] = {key: NumberColumn(np.array(numbers)) for key, numbers in parts.items()}
    lists = (list(label) if isinstance(label, Sequence) else [int(label)] for label in labels)
    return {**columns, _PATH_KEYS[0]: TextColumn.from_texts(paths), "label": LabelColumn.from_lists(lists)}


def _add_texts(digest: Any, texts: TextColumn) -> None:
    """Add the texts, without the folder that they have in common."""
    skipped = _common_folder(texts)
    starts, lengths = texts.starts + skipped, texts.lengths.astype(np.int64) - skipped
    digest.update(lengths.tobytes())
    for first in range(0, len(texts), _AT_A_TIME):
        counts = lengths[first : first + _AT_A_TIME]
        offsets = starts[first : first + _AT_A_TIME] - (np.cumsum(counts) - counts)
        digest.update(texts.buffer[np.repeat(offsets, counts) + np.arange(counts.sum())].tobytes())


def _common_folder(texts: TextColumn) -> int:
    """How many bytes all texts begin with, up to a slash."""
    if not len(texts):
        return 0
    begin = texts.starts[0]
    shortest = texts.buffer[begin : begin + texts.lengths.min()]
    common = next(
        (place for place, byte in enumerate(shortest) if (texts.buffer[texts.starts + place] != byte).any()),
        len(shortest),
    )
    return shortest[:common].tobytes().rfind(b"/") + 1
