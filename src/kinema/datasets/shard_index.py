"""The index of a folder of shards: where in which tar file each clip lies."""

import dataclasses
import json
import logging
import os
import tarfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kinema.datasets.annotations import Annotations, read_class_names
from kinema.datasets.annotations.collecting import ClipCollector
from kinema.datasets.columns import LabelColumn, TextColumn
from kinema.errors import AnnotationError
from kinema.video.suffixes import VIDEO_SUFFIXES

logger = logging.getLogger("kinema")

INDEX_FILE = "kinema-index.npz"
INDEX_FORMAT = 1
_LARGEST_FACTS = 1 << 20  # a .json or .cls of more bytes is something else


@dataclasses.dataclass(frozen=True, eq=False)
class ShardIndex:
    """Where N clips lie.

    Attributes:
        annotations: paths (`shard-000000.tar/000000042.mp4`), labels and parts of the clips.
        shards: names of the tar files.
        shard_bytes: (shards,) their sizes.
        shard: (N,) the tar file that each video lies in.
        offsets: (N,) first byte of each video in it.
        sizes: (N,) bytes of each video.
    """

    annotations: Annotations
    shards: tuple[str, ...]
    shard_bytes: np.ndarray
    shard: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray

    def save(self, folder: Path) -> None:
        """Write the index beside the shards; complete or not at all."""
        clips = self.annotations
        facts = {
            "format": INDEX_FORMAT,
            "shards": self.shards,
            "clip_unit": clips.clip_unit,
            "class_names": clips.class_names,
        }
        arrays: dict[str, np.ndarray | None] = {
            "facts": np.frombuffer(bytearray(json.dumps(facts).encode()), dtype=np.uint8),
            "shard_bytes": self.shard_bytes,
            "shard": self.shard,
            "offsets": self.offsets,
            "sizes": self.sizes,
            "texts": clips.paths.buffer,
            "lengths": clips.paths.lengths,
            "labels": clips.labels.values,
            "label_counts": clips.labels.counts(),
            "clip_starts": clips.clip_starts,
            "clip_ends": clips.clip_ends,
        }
        unfinished = folder / f".{INDEX_FILE}.{os.getpid()}.part"
        with unfinished.open("wb") as file:
            np.savez(file, allow_pickle=False, **{name: one for name, one in arrays.items() if one is not None})
        unfinished.replace(folder / INDEX_FILE)


def load_index(folder: Path) -> ShardIndex:
    """The index of a folder of shards; made, and kept beside them where the folder can be written, when there is none.

    Raises:
        AnnotationError: there are no shards, or the index does not fit them.
    """
    if (folder / INDEX_FILE).is_file():
        return _read_index(folder)
    logger.info("%s: has no %s: reading the headers of all members", folder, INDEX_FILE)
    index = build_index(folder)
    try:
        index.save(folder)
    except OSError as error:
        logger.info("%s: the index cannot be kept: %s", folder, error.strerror or error)
    return index


def _read_index(folder: Path) -> ShardIndex:
    path = folder / INDEX_FILE
    again = f"remove {INDEX_FILE}, and it is made anew"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = dict(arrays)
        facts = json.loads(found["facts"].tobytes())
        known = facts["format"] == INDEX_FORMAT
    except (OSError, ValueError, KeyError) as error:
        raise AnnotationError(f"{path}: is no index of shards: {again}") from error
    if not known:
        raise AnnotationError(f"{path}: expected an index of format {INDEX_FORMAT}, got {facts['format']}: {again}")
    for name, expected in zip(facts["shards"], found["shard_bytes"].tolist(), strict=True):
        shard = folder / name
        size = shard.stat().st_size if shard.is_file() else None
        if size != expected:
            there = "is not there" if size is None else f"has {size} bytes, the index was made of {expected}"
            raise AnnotationError(f"{shard}: {there}: restore it, or {again}")
    annotations = Annotations(
        TextColumn.from_lengths(found["texts"].data, found["lengths"]),
        LabelColumn.from_counts(found["labels"], found["label_counts"]),
        folder,
        tuple(facts["class_names"]),
        format="shards",
        video_root=folder,
        clip_starts=found.get("clip_starts"),
        clip_ends=found.get("clip_ends"),
        clip_unit=facts["clip_unit"],
    )
    columns = (found[name] for name in ("shard_bytes", "shard", "offsets", "sizes"))
    return ShardIndex(annotations, tuple(facts["shards"]), *columns)


def build_index(folder: Path) -> ShardIndex:
    """Read the headers of all members, and the small ones that tell labels; videos are skipped over.

    Raises:
        AnnotationError: there are no shards, one is no tar file, or none holds a video.
    """
    paths = sorted(folder.glob("*.tar")) if folder.is_dir() else []
    if not paths:
        raise AnnotationError(f"{folder}: expected a folder of tar files (such as shard-000000.tar), found none")
    clips = ClipCollector(folder, "shards")
    shard, offsets, sizes = array("i"), array("q"), array("q")
    unit = "seconds"
    without_video = 0
    for number, path in enumerate(paths):
        for members in _samples(path):
            suffix = next((one for one in members if one in VIDEO_SUFFIXES), None)
            if suffix is None:
                without_video += 1
                continue
            video, facts = members[suffix][0], _facts(members, path)
            start, end = (facts.get(key, facts.get(f"{key[:-7]}frame")) for key in ("start_seconds", "end_seconds"))
            unit = "frames" if {"start_frame", "end_frame"} & set(facts) else unit
            clips.add(f"{path.name}/{video.name}", facts["labels"], start=start, end=end)
            shard.append(number)
            offsets.append(video.offset_data)
            sizes.append(video.size)
    if not len(clips):
        raise AnnotationError(f"{folder}: none of its {len(paths)} tar files holds a video")
    if without_video:
        logger.warning("%s: %d samples have no video and were left out", folder, without_video)
    names = read_class_names(folder / "classes.txt") or None
    return ShardIndex(
        clips.finish(names, video_root=folder, clip_unit="frames" if unit == "frames" else "seconds"),
        tuple(path.name for path in paths),
        np.array([path.stat().st_size for path in paths], dtype=np.int64),
        np.array(shard, dtype=np.int32),
        np.array(offsets, dtype=np.int64),
        np.array(sizes, dtype=np.int64),
    )


_Members = dict[str, tuple[tarfile.TarInfo, bytes]]


def _samples(path: Path) -> Iterator[_Members]:
    """The members of each sample by suffix: those in a row whose names are equal up to the first dot."""
    try:
        with tarfile.open(path, "r:") as tar:
            key, members = "", _Members()
            for member in tar:
                tar.members.clear()  # type: ignore[attr-defined]  # else it keeps an object a member
                if not member.isfile():
                    continue
                folder, _, name = member.name.rpartition("/")
                stem, _, ending = name.partition(".")
                if f"{folder}/{stem}" != key:
                    if members:
                        yield members
                    key, members = f"{folder}/{stem}", {}
                file = (
                    tar.extractfile(member)
                    if ending.lower() in ("json", "cls") and member.size < _LARGEST_FACTS
                    else None
                )
                members[f".{ending.lower()}"] = (member, file.read() if file else b"")
            if members:
                yield members
    except (tarfile.TarError, OSError) as error:
        raise AnnotationError(f"{path}: cannot be read as a tar file: {error}") from error


def _facts(members: _Members, path: Path) -> dict[str, Any]:
    """Labels and part of a sample: of its `.json`, or its `.cls`."""
    facts: dict[str, Any] = {}
    if ".json" in members:
        member, content = members[".json"]
        try:
            facts = json.loads(content)
        except ValueError as error:
            raise AnnotationError(f"{path}: the member {member.name!r} is no JSON") from error
        facts = facts if isinstance(facts, dict) else {}
    labels = next((facts[key] for key in ("labels", "label", "class") if key in facts), None)
    if labels is None and ".cls" in members:
        labels = members[".cls"][1].decode("utf-8", "replace").split()
    labels = [] if labels is None else labels
    return {**facts, "labels": labels if isinstance(labels, list) else [labels]}
