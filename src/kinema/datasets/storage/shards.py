"""Videos in tar files of the WebDataset layout, with an index that finds each one."""

import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from kinema.arguments import takes_arguments_of
from kinema.datasets.annotations.class_names import write_class_names
from kinema.datasets.annotations.hold_out import take_part
from kinema.datasets.annotations.shard_index import PART_KEYS, build_index, load_index
from kinema.datasets.base import BaseDataset
from kinema.datasets.labelled import LabelledDataset
from kinema.datasets.storage.columns import ColumnSamples, Indices, WorkerShared
from kinema.errors import AnnotationError
from kinema.files import open_regular, rename_complete
from kinema.progress import track_iter_progress
from kinema.registry import DATASETS
from kinema.video.slices import FileSlice

SHARD_BYTES = 1 << 30


@dataclass(frozen=True)
class ShardSummary:
    """What `write_shards` wrote: where, how many files, clips and bytes."""

    folder: Path
    num_shards: int
    num_clips: int
    num_bytes: int


def write_shards(
    dataset: Any,
    folder: str | os.PathLike,
    *,
    shard_bytes: int = SHARD_BYTES,
    shuffle_seed: int | None = None,
) -> ShardSummary:
    """Write the videos of a dataset into tar files that WebDataset reads, and an index beside them.

    A clip is two or three members of one name: the video as it is (`000000042.mp4`), its class
    index (`.cls`, where it has one) and a `.json` with its labels, class names, path and part.
    `classes.txt` names the classes.

    Args:
        dataset: `VideoDataset`, or another whose `get_data_info(i)` gives `filename` and `label`.
        folder: where to write; made when it is not there.
        shard_bytes: size at which a next file is begun.
        shuffle_seed: mix the clips, for readers that go through the files in order; None keeps the
            order of the dataset.

    Returns:
        What was written.

    Raises:
        AnnotationError: the folder holds shards already, or a video is not there.
        ValueError: `shard_bytes` below 1.
    """
    if shard_bytes < 1:
        raise ValueError(f"shard_bytes must be at least 1, got {shard_bytes}")
    folder = Path(folder)
    if folder.is_dir() and any(folder.glob("*.tar")):
        raise AnnotationError(f"{folder}: holds shards already: name another folder, or remove them")
    folder.mkdir(parents=True, exist_ok=True)
    classes = list(dataset.metainfo.get("classes") or ())
    if classes:
        write_class_names(folder / "classes.txt", classes)
    order = np.arange(len(dataset))
    if shuffle_seed is not None:
        order = np.random.default_rng(shuffle_seed).permutation(order)
    with _ShardWriter(folder, shard_bytes) as writer:
        for number, index in enumerate(track_iter_progress(order.tolist())):
            info = dataset.get_data_info(index)
            path = Path(info["filename"])
            try:
                video = open_regular(path)  # a pipe or a device may never end
            except OSError as error:
                raise AnnotationError(f"{path}: cannot be read: {error.strerror or error}") from error
            with video:
                writer.add(f"{number:09d}", path.suffix.lower(), video, _facts(info, classes))
    build_index(folder).save(folder)
    return ShardSummary(folder, writer.num_shards, len(order), writer.num_bytes)


def _facts(info: Mapping[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    """What the `.json` of a clip says."""
    label = info.get("label", -1)
    if isinstance(label, np.ndarray) and label.ndim:
        labels = np.flatnonzero(label).tolist()
    else:
        labels = list(label) if isinstance(label, list | tuple) else [int(label)]
    labels = [label for label in labels if label >= 0]
    facts = {"path": os.fspath(info["filename"]), "labels": labels}
    if classes:
        facts["classes"] = [classes[label] for label in labels]
    return facts | {key: info[key] for key in PART_KEYS if key in info and not np.isnan(info[key])}


class _ShardWriter:
    """Fills tar files one after the other; each gets its name when it is complete."""

    def __init__(self, folder: Path, shard_bytes: int) -> None:
        self.folder = folder
        self.shard_bytes = shard_bytes
        self.num_shards = 0
        self.num_bytes = 0
        self._tar: tarfile.TarFile | None = None
        self._unfinished = folder / "unfinished.part"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._finish()
        elif self._tar is not None:
            self._tar.close()
            self._unfinished.unlink(missing_ok=True)

    def add(self, key: str, suffix: str, video: BinaryIO, facts: Mapping[str, Any]) -> None:
        num_bytes = os.fstat(video.fileno()).st_size
        if self._tar is not None and self._tar.offset + num_bytes > self.shard_bytes and self._tar.offset > 0:
            self._finish()
        if self._tar is None:
            self._tar = tarfile.open(self._unfinished, "w", format=tarfile.GNU_FORMAT)  # noqa: SIM115 - closed by _finish
        members: dict[str, tuple[int, BinaryIO]] = {suffix: (num_bytes, video)}
        if len(facts["labels"]) == 1:
            members[".cls"] = _in_memory(str(facts["labels"][0]).encode())
        members[".json"] = _in_memory(json.dumps(facts).encode())
        for ending, (size, content) in members.items():
            member = tarfile.TarInfo(
                f"{key}{ending}"
            )  # owner and time stay at zero: the same clips give the same files
            member.size = size
            self._tar.addfile(member, content)
        self._tar.members.clear()  # type: ignore[attr-defined]  # else it keeps an object a member

    def _finish(self) -> None:
        if self._tar is None:
            return
        self._tar.close()
        path = self.folder / f"shard-{self.num_shards:06d}.tar"
        rename_complete(self._unfinished, path)
        self.num_bytes += path.stat().st_size
        self.num_shards += 1
        self._tar = None


def _in_memory(content: bytes) -> tuple[int, BinaryIO]:
    return len(content), io.BytesIO(content)


class _SliceColumn(WorkerShared):
    """Where each clip's video lies: (N,) shard, first byte and number of bytes."""

    def __init__(self, shards: Sequence[str], shard: np.ndarray, offsets: np.ndarray, sizes: np.ndarray) -> None:
        self.shards = tuple(shards)
        self.shard = shard
        self.offsets = offsets
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.shard)

    def __getitem__(self, place: int) -> FileSlice:
        return FileSlice(self.shards[self.shard[place]], self.offsets[place].item(), self.sizes[place].item())

    def take(self, places: Indices) -> Self:
        return type(self)(self.shards, self.shard[places], self.offsets[places], self.sizes[places])


@DATASETS.register_module()
class ShardDataset(LabelledDataset):
    """Videos in tar files of the WebDataset layout, each to be had by its index.

    A sample, before the pipeline: `filename` (`shard-000000.tar/000000042.mp4`), `video_bytes`
    (where they lie; `OpenVideo` reads them, and nothing else of the file), `label`, `start_index`,
    `modality`, `sample_idx`, and the part of the video where there is one. As every sample has its
    index, orders, resumption and evaluation are those of any dataset.

    Args:
        folder: of the tar files. Its index is used, or else made, which reads the headers of all
            members once.
        pipeline: transforms, or configs of transforms.
        multi_class: a clip may have several labels.
        num_classes: number of classes, for `multi_class` and for checking labels.
        test_mode: for evaluation: unlabelled clips are allowed, a rejected sample is an error.
        metainfo: what is known of the whole set; `classes` (names by class index) sets the classes.
        hold_out: read only the clips of one side of a hold-out, see `VideoDataset`.
        data_root: folder that `folder` is relative to.
        **settings: further arguments of `BaseDataset`.

    Raises:
        AnnotationError: there are no shards, or the index does not fit them.
        ValueError: `multi_class` without `num_classes` or `classes`.
    """

    @takes_arguments_of(BaseDataset, without=("ann_file", "data_prefix"))
    def __init__(
        self,
        folder: str | os.PathLike,
        pipeline: Sequence[Mapping[str, Any] | Callable[[Any], Any]] = (),
        *,
        multi_class: bool = False,
        num_classes: int | None = None,
        test_mode: bool = False,
        hold_out: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.hold_out = hold_out
        super().__init__(
            folder,
            data_prefix={},
            pipeline=pipeline,
            multi_class=multi_class,
            num_classes=num_classes,
            test_mode=test_mode,
            **settings,
        )

    def load_columns(self) -> ColumnSamples:
        folder = Path(self.ann_file)
        index = load_index(folder)
        annotations = index.annotations
        samples = self.columns_of(annotations, "filename", str(folder))
        shards = [str(folder / name) for name in index.shards]
        samples.columns["video_bytes"] = _SliceColumn(shards, index.shard, index.offsets, index.sizes)
        if self.hold_out is not None:
            places = {path: place for place, path in enumerate(annotations.paths)}
            samples = samples.take([places[path] for path in take_part(annotations, self.hold_out).paths])
        return samples
