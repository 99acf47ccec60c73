"""The index of a folder of shards: where in which tar file each clip lies."""

import dataclasses
import io
import json
import logging
import os
import struct
import tarfile
import tokenize
import zipfile
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from kinema.datasets.annotations.class_names import check_class_names, read_class_names
from kinema.datasets.annotations.collecting import ClipCollector
from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.tables import MAX_NUMBER
from kinema.datasets.storage.columns import LabelColumn, TextColumn
from kinema.errors import AnnotationError
from kinema.files import open_regular, written_whole
from kinema.video.slices import FileSlice
from kinema.video.suffixes import VIDEO_SUFFIXES

logger = logging.getLogger("kinema")

INDEX_FILE = "kinema-index.npz"
INDEX_FORMAT = 1
PART_KEYS = ("start_seconds", "end_seconds", "start_frame", "end_frame")
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

    def slice_of(self, place: int) -> FileSlice:
        """Where the video of a clip lies."""
        shard = self.annotations.source / self.shards[self.shard[place]]
        return FileSlice(str(shard), int(self.offsets[place]), int(self.sizes[place]))

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
        with written_whole(folder / INDEX_FILE, "wb") as file:
            np.savez(file, allow_pickle=False, **{name: array for name, array in arrays.items() if array is not None})


def load_index(folder: Path) -> ShardIndex:
    """The index of a folder of shards; made, and kept beside them where the folder can be written, when there is none.

    Raises:
        AnnotationError: there are no shards, or the index is damaged or does not fit them.
    """
    if (folder / INDEX_FILE).exists():
        return _read_index(folder)
    logger.info("%s: has no %s: reading the headers of all members", folder, INDEX_FILE)
    index = build_index(folder)
    try:
        index.save(folder)
    except OSError as error:
        logger.info("%s: the index cannot be kept: %s", folder, error.strerror or error)
    return index


# ---- the index file

_TYPES = {  # of the arrays of an index, each of one dimension
    **dict.fromkeys(("facts", "texts"), "u1"),
    **dict.fromkeys(("shard_bytes", "shard", "offsets", "sizes", "lengths", "labels", "label_counts"), "i4 i8"),
    **dict.fromkeys(("clip_starts", "clip_ends"), "f8"),
}
_OPTIONAL = {"clip_starts", "clip_ends"}
# What reading a damaged file ends in: zipfile, numpy and json meet it with all of these.
_DAMAGED = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, IndexError, MemoryError, OverflowError),
    *(
        RecursionError,
        NotImplementedError,
        RuntimeError,
        zipfile.BadZipFile,
        struct.error,
        tokenize.TokenError,
        SyntaxError,
    ),
)


def _read_index(folder: Path) -> ShardIndex:
    path = folder / INDEX_FILE
    again = f"remove {INDEX_FILE}, and it is made anew"
    try:
        arrays = _read_arrays(path)
        facts = _read_facts(arrays["facts"])
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}: {again}") from error
    except _DAMAGED as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "is no index of shards"
        raise AnnotationError(f"{path}: {reason}: {again}") from error
    for name, expected in zip(facts["shards"], arrays["shard_bytes"].tolist(), strict=False):
        shard = folder / name
        size = shard.stat().st_size if shard.is_file() else None
        if size != expected:
            there = "is not there" if size is None else f"has {size} bytes, the index was made of {expected}"
            raise AnnotationError(f"{shard}: {there}: restore it, or {again}")
    problem = _problem_of(arrays, len(facts["shards"]))
    if problem is not None:
        raise AnnotationError(f"{path}: is damaged: {problem}: {again}")
    annotations = Annotations(
        TextColumn.from_lengths(arrays["texts"].data, arrays["lengths"].astype(np.int32)),
        LabelColumn.from_counts(arrays["labels"], arrays["label_counts"]),
        folder,
        tuple(facts["class_names"]),
        format="shards",
        video_root=folder,
        clip_starts=arrays.get("clip_starts"),
        clip_ends=arrays.get("clip_ends"),
        clip_unit=facts["clip_unit"],
    )
    columns = (arrays[name] for name in ("shard_bytes", "shard", "offsets", "sizes"))
    return ShardIndex(annotations, tuple(facts["shards"]), *columns)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an index.

    None is larger than its entry, and no entry larger than the file: nothing is compressed.
    """
    arrays = {}
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        left = os.fstat(file.fileno()).st_size
        for entry in archive.infolist():
            name = entry.filename.removesuffix(".npy")
            if name not in _TYPES or name in arrays:
                raise AnnotationError(f"holds the entry {entry.filename!r}, which no index has")
            left -= entry.file_size
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or left < 0:
                raise AnnotationError(f"the entry {entry.filename!r} is compressed, which no index is")
            arrays[name] = _read_array(archive.read(entry), name)
    missing = sorted(_TYPES.keys() - _OPTIONAL - arrays.keys())
    if missing:
        raise AnnotationError(f"lacks the entry {missing[0]!r}")
    return arrays


def _read_array(content: bytes, name: str) -> np.ndarray:
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(stream)
    if dtype.str[1:] not in _TYPES[name].split() or len(shape) != 1:
        raise AnnotationError(f"the entry {name!r} is of type {dtype.str} and shape {shape}")
    if shape[0] * dtype.itemsize != len(content) - stream.tell():
        raise AnnotationError(f"the entry {name!r} does not hold its {shape[0]} values")
    # Writable, as tensors made of it are to be.
    return np.frombuffer(bytearray(content), dtype=dtype, offset=stream.tell())


def _read_facts(content: np.ndarray) -> dict[str, Any]:
    facts = json.loads(content.tobytes())
    if facts["format"] != INDEX_FORMAT:
        raise AnnotationError(f"expected an index of format {INDEX_FORMAT}, got {facts['format']}")
    texts = facts["shards"], facts["class_names"]
    if not all(isinstance(names, list) and all(isinstance(text, str) for text in names) for names in texts):
        raise AnnotationError("the names of shards or classes are no texts")
    if not all(name.endswith(".tar") and name == Path(name).name for name in facts["shards"]):
        raise AnnotationError("a shard lies in another folder, or is no .tar file")
    if facts["clip_unit"] not in ("seconds", "frames"):
        raise AnnotationError(f"parts of clips are in {facts['clip_unit']!r}")
    check_class_names(facts["class_names"], "the names of the classes")
    return dict(facts)


def _problem_of(arrays: Mapping[str, np.ndarray], num_shards: int) -> str | None:
    """What does not go together in an index."""
    count = len(arrays["shard"])
    each = ("offsets", "sizes", "lengths", "label_counts", "clip_starts", "clip_ends")
    differs = next((name for name in each if name in arrays and len(arrays[name]) != count), None)
    if differs is not None or not count:
        return f"it has {len(arrays[differs])} {differs} of {count} clips" if differs else "it has no clips"
    if len(arrays["shard_bytes"]) != num_shards:
        return f"it has {len(arrays['shard_bytes'])} sizes of {num_shards} shards"
    for numbers, parts in (("texts", "lengths"), ("labels", "label_counts")):
        lengths = arrays[parts]
        # The sum of numbers from 0 to the length cannot overflow before one of them is too large.
        if (
            lengths.min() < 0
            or lengths.max() > len(arrays[numbers])
            or lengths.sum(dtype=np.float64) != len(arrays[numbers])
        ):
            return f"its {parts} do not add up to its {len(arrays[numbers])} {numbers}"
    shard, offsets, sizes = arrays["shard"], arrays["offsets"], arrays["sizes"]
    if shard.min() < 0 or shard.max() >= num_shards:
        return "a clip lies in a shard that it does not name"
    if offsets.min() < 0 or sizes.min() < 0 or (offsets > arrays["shard_bytes"][shard] - sizes).any():
        return "a clip lies outside of its shard"
    return None


def build_index(folder: Path) -> ShardIndex:
    """Read the headers of all members, and the small ones that hold labels; videos are skipped over.

    Raises:
        AnnotationError: there are no shards, one is no tar file that is written to the end, a
            member is no file as it is (a link, one with holes), its labels or part are none, or
            none holds a video.
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
            suffix = next((member for member in members if member in VIDEO_SUFFIXES), None)
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


class _Headers:
    """A tar file of which headers and small members are read.

    No header makes it read more than is there, or very much.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.num_bytes = os.fstat(file.fileno()).st_size

    def read(self, count: int = -1) -> bytes:
        if count < 0 or count > _LARGEST_FACTS:
            raise tarfile.ReadError(f"a header of {count} bytes")
        return self._file.read(count)

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()


def _samples(path: Path) -> Iterator[_Members]:
    """The members of each sample by suffix: those in a row whose names are equal up to the first dot."""
    try:
        with open_regular(path) as file:
            headers = _Headers(file)
            with tarfile.open(fileobj=headers, mode="r:") as tar:  # type: ignore[call-overload]  # has what tarfile uses
                yield from _samples_of(tar, path, headers.num_bytes)
    except (tarfile.TarError, OSError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise AnnotationError(f"{path}: cannot be read as a tar file: {reason}") from error


def _samples_of(tar: tarfile.TarFile, path: Path, num_bytes: int) -> Iterator[_Members]:
    key, members = "", _Members()
    for member in tar:
        tar.members.clear()  # type: ignore[attr-defined]  # else it keeps an object a member
        _check_member(member, path, num_bytes)
        if not member.isfile():
            continue
        folder, _, name = member.name.rpartition("/")
        stem, _, ending = name.partition(".")
        if f"{folder}/{stem}" != key:
            if members:
                yield members
            key, members = f"{folder}/{stem}", {}
        is_small = ending.lower() in ("json", "cls") and member.size < _LARGEST_FACTS
        file = tar.extractfile(member) if is_small else None
        members[f".{ending.lower()}"] = (member, file.read() if file else b"")
    if members:
        yield members


def _check_member(member: tarfile.TarInfo, path: Path, num_bytes: int) -> None:
    """Require a member whose bytes lie in the file, one behind the other."""
    if member.size < 0:
        raise AnnotationError(
            f"{path}: the member {member.name!r} has a size of {member.size} bytes: write the file anew"
        )
    if member.issparse() or member.islnk() or member.issym():
        kind = "has holes that are left out" if member.issparse() else "is a link"
        raise AnnotationError(
            f"{path}: the member {member.name!r} {kind}: expected files as they are: write the file anew"
        )
    if member.isfile() and member.offset_data + member.size > num_bytes:
        raise AnnotationError(
            f"{path}: ends in the member {member.name!r}, of {member.size} bytes from {member.offset_data} on: is it"
            " written to the end?"
        )


def _facts(members: _Members, path: Path) -> dict[str, Any]:
    """Labels and part of a sample: of its `.json`, or its `.cls`."""
    facts: dict[str, Any] = {}
    name = ""
    if ".json" in members:
        member, content = members[".json"]
        name = member.name
        try:
            facts = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise AnnotationError(f"{path}: the member {name!r} is no JSON") from error
        facts = facts if isinstance(facts, dict) else {}
    labels = next((facts[key] for key in ("labels", "label", "class") if key in facts), None)
    if labels is None and ".cls" in members:
        labels = members[".cls"][1].decode("utf-8", "replace").split()
    labels = [] if labels is None else labels
    labels = labels if isinstance(labels, list) else [labels]
    if not all(isinstance(label, int | float | str) for label in labels):
        raise AnnotationError(f"{path}: the member {name!r} has labels that are neither numbers nor texts")
    for key in PART_KEYS:
        if key in facts and not (isinstance(facts[key], int | float) and abs(facts[key]) <= MAX_NUMBER):
            raise AnnotationError(f"{path}: the member {name!r} has no number for {key!r}")
    return {**facts, "labels": labels}
