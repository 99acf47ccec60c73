"""The two containers that `torch.save` writes: a zip archive, and before torch 1.6 pickles and storages in a row.

Sizes and places are compared with the file before anything is allocated or read. So no more is read
than the file has, and every storage that a tensor uses was read whole.
"""

import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO

import torch
from torch import Tensor

from kinema.errors import CheckpointError

MOST_RECORDS = 65_535
DIMENSIONS = 32
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
SMALLEST_VIEW_BYTES = 1 << 20  # a tensor that repeats its storage (`expand`) may be so large, or as large as the file

_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "UntypedStorage": torch.uint8,
}


@dataclass(frozen=True)
class StorageType:
    """The class of a storage, by which files say what its bytes are."""

    dtype: torch.dtype


@dataclass(frozen=True)
class Storage:
    """Bytes that tensors are views of.

    Attributes:
        untyped: the bytes.
        dtype: what they are.
        numel: number of elements.
    """

    untyped: torch.UntypedStorage
    dtype: torch.dtype
    numel: int


def storage_type(module: str, name: str) -> StorageType | None:
    """The class of storages that a name stands for; None: no such class, or one of quantized numbers."""
    dtype = _STORAGES.get(name) if module in ("torch", "torch.cuda", "torch.storage") else None
    return None if dtype is None else StorageType(dtype)


# ---- tensors


def view(storage: Any, offset: Any, size: Any, stride: Any, dtype: torch.dtype | None, file_bytes: int) -> Tensor:
    """A tensor over a part of a storage; all in elements.

    Args:
        storage: the storage.
        offset: of the first element.
        size: shape.
        stride: elements between neighbours, by dimension.
        dtype: of the tensor; None takes the storage's.
        file_bytes: size of the file.

    Raises:
        CheckpointError: it reaches beyond the storage, or is larger than anything that the file
            could hold.
    """
    if not isinstance(storage, Storage):
        raise CheckpointError(f"makes a tensor of a {type(storage).__name__}, not of a storage")
    kind = dtype or storage.dtype
    numel = len(storage.untyped) // kind.itemsize
    is_plain = all(
        isinstance(sides, tuple) and len(sides) <= DIMENSIONS and all(type(n) is int and 0 <= n < 2**48 for n in sides)
        for sides in (size, stride)
    )
    if not is_plain or len(size) != len(stride) or type(offset) is not int or offset < 0:
        raise CheckpointError("has a tensor whose shape, strides or offset are no plain numbers")
    elements = 1
    for length in size:
        elements *= length
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if elements and last >= numel:
        raise CheckpointError(
            f"has a tensor that reaches beyond its storage: element {last} of {numel}; the file is damaged"
        )
    if elements * kind.itemsize > max(file_bytes, SMALLEST_VIEW_BYTES):
        raise CheckpointError(f"has a tensor of shape {tuple(size)}, larger than the file")
    empty = torch.empty((0,), dtype=kind, device=storage.untyped.device)
    return empty.set_(storage.untyped, offset if elements else 0, size, stride)


def _allocated(num_bytes: int) -> Tensor:
    return torch.empty(num_bytes, dtype=torch.uint8)


def _fill(memory: Tensor, stream: BinaryIO) -> None:
    if len(memory) and stream.readinto(memory.numpy().data) != len(memory):  # type: ignore[attr-defined]
        raise CheckpointError("is cut off: a tensor in it is not whole")


def _in_own_order(memory: Tensor, dtype: torch.dtype, order: str) -> None:
    if order != sys.byteorder and dtype.itemsize > 1:
        memory.untyped_storage().byteswap(dtype)


def _moved(memory: Tensor, device: torch.device) -> torch.UntypedStorage:
    return memory.to(device).untyped_storage()


def _storage_id(name: Any, parts: int) -> tuple[Any, ...]:
    """What follows "storage" in a persistent id: the type, the key, the device, the number of elements, ..."""
    if type(name) is not tuple or len(name) != parts or name[0] not in ("storage", b"storage"):
        raise CheckpointError("is damaged: it names a storage in an unknown way")
    _, kind, key, _, numel, *_ = name
    if not isinstance(kind, StorageType):
        raise CheckpointError("has a storage of an unknown type, of quantized numbers for example; save plain tensors")
    if type(key) not in (str, int) or type(numel) is not int or numel < 0:
        raise CheckpointError("is damaged: it names a storage in an unknown way")
    return name[1:]


# ---- zip

_END = struct.Struct("<4s4H2LH")
_END64_PLACE = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")


@dataclass(frozen=True)
class Record:
    """A file in the archive: where its bytes begin, how many they are, and whether they are compressed or encrypted."""

    offset: int
    size: int
    is_packed: bool


def _damaged(what: str) -> CheckpointError:
    return CheckpointError(f"is a damaged zip archive: {what}")


def _unpacked(layout: struct.Struct, stream: BinaryIO, offset: int, signature: bytes, what: str) -> tuple[Any, ...]:
    if offset < 0:
        raise _damaged(f"{what} is not there")
    stream.seek(offset)
    data = stream.read(layout.size)
    if len(data) != layout.size or data[:4] != signature:
        raise _damaged(f"{what} is not there")
    return layout.unpack(data)


def zip_records(stream: BinaryIO, file_bytes: int) -> dict[str, Record]:
    """The records of an archive in which nothing is there twice, or inside something else.

    Raises:
        CheckpointError: it is no such archive.
    """
    end = file_bytes - _END.size
    *_, count, directory_bytes, directory, comment = _unpacked(_END, stream, end, b"PK\5\6", "its end")
    if comment:
        raise _damaged("it ends in a comment")
    if count == 0xFFFF or directory_bytes == 0xFFFFFFFF or directory == 0xFFFFFFFF:
        place = _unpacked(_END64_PLACE, stream, end - _END64_PLACE.size, b"PK\6\7", "its end")[2]
        *_, count, directory_bytes, directory = _unpacked(_END64, stream, place, b"PK\6\6", "its end")
    if count > MOST_RECORDS:
        raise _damaged(f"it has {count} records; {MOST_RECORDS} are the most")
    if directory + directory_bytes > file_bytes:
        raise _damaged("its directory is not in the file")
    stream.seek(directory)
    entries = stream.read(directory_bytes)
    records: dict[str, Record] = {}
    spans: list[tuple[int, int]] = []
    at = 0
    for _ in range(count):
        if at + _ENTRY.size > len(entries) or entries[at : at + 4] != b"PK\1\2":
            raise _damaged("its directory is cut off")
        fields = _ENTRY.unpack_from(entries, at)
        flags, method = fields[3:5]
        packed, size, name_bytes, extra_bytes, comment_bytes = fields[8:13]
        start = fields[16]
        at += _ENTRY.size
        raw = entries[at : at + name_bytes]
        extra = entries[at + name_bytes : at + name_bytes + extra_bytes]
        at += name_bytes + extra_bytes + comment_bytes
        size, packed, start = _long_fields(extra, size, packed, start)
        name = raw.decode("utf-8")
        is_packed = bool(flags & 1) or method != 0 or packed != size
        if name in records:
            raise _damaged(f"it has {name[:80]!r} twice")
        local = _unpacked(_LOCAL, stream, start, b"PK\3\4", "a record")
        offset = start + _LOCAL.size + local[9] + local[10]
        if stream.read(local[9]) != raw or offset + packed > directory:
            raise _damaged(f"{name[:80]!r} is not where its directory says")
        spans.append((start, offset + packed))
        records[name] = Record(offset, size, is_packed)
    spans.sort()
    if any(before[1] > after[0] for before, after in pairwise(spans)):
        raise _damaged("its records overlap")
    return records


def _long_fields(extra: bytes, size: int, packed: int, start: int) -> tuple[int, int, int]:
    """Sizes and place of a record, of archives beyond 4 GB in an extra field."""
    values = [size, packed, start]
    if 0xFFFFFFFF not in values:
        return size, packed, start
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            field, where = extra[at + 4 : at + 4 + length], 0
            for index, value in enumerate(values):
                if value == 0xFFFFFFFF:
                    (values[index],) = struct.unpack_from("<Q", field, where)
                    where += 8
            break
        at += 4 + length
    return values[0], values[1], values[2]


class ZipStorages:
    """The storages of an archive, each read when the pickle names it.

    Args:
        stream: the file.
        records: see `zip_records`.
        root: folder of all records in the archive.
        device: where tensors go.
    """

    def __init__(self, stream: BinaryIO, records: dict[str, Record], root: str, device: torch.device) -> None:
        self._stream = stream
        self._records = records
        self._root = root
        self._device = device
        self._read: dict[str, torch.UntypedStorage] = {}
        self._order = self._byte_order()

    def _byte_order(self) -> str:
        record = self._records.get(f"{self._root}/byteorder")
        if record is None:
            return "little"
        self._stream.seek(record.offset)
        order = self._stream.read(min(record.size, 16)).decode("ascii", "replace").strip()
        if order not in ("little", "big"):
            raise CheckpointError(f"is damaged: its byte order is {order!r}")
        return order

    def __call__(self, name: Any) -> Storage:
        """The storage of a persistent id."""
        kind, key, _, numel = _storage_id(name, 5)
        record = self._records.get(f"{self._root}/data/{key}")
        num_bytes = numel * kind.dtype.itemsize
        if record is None or record.size != num_bytes:
            actual = "not there" if record is None else f"{record.size} bytes"
            raise CheckpointError(
                f"is damaged: storage {str(key)[:40]!r} should be {num_bytes} bytes of the file, it is {actual}"
            )
        if str(key) not in self._read:
            memory = _allocated(num_bytes)
            self._stream.seek(record.offset)
            _fill(memory, self._stream)
            _in_own_order(memory, kind.dtype, self._order)
            self._read[str(key)] = _moved(memory, self._device)
        return Storage(self._read[str(key)], kind.dtype, numel)


# ---- pickles and storages in a row


class LegacyStorages:
    """The storages of an older file, which follow its pickles: they are made when named, and filled at the end.

    Args:
        stream: the file.
        file_bytes: its size.
    """

    def __init__(self, stream: BinaryIO, file_bytes: int) -> None:
        self._stream = stream
        self._left = file_bytes
        self._storages: dict[str, tuple[Tensor, torch.dtype]] = {}

    def __call__(self, name: Any) -> Any:
        """The storage, or the class with its source code, of a persistent id."""
        if type(name) is tuple and len(name) == 4 and name[0] in ("module", b"module"):
            return name[1]
        kind, key, _, numel, part = _storage_id(name, 6)
        if part is not None:
            raise CheckpointError("has storages that are parts of others, as torch wrote before 0.4: save it again")
        num_bytes = numel * kind.dtype.itemsize
        if str(key) not in self._storages:
            self._left -= num_bytes
            if self._left < 0:
                raise CheckpointError("is cut off, or damaged: its tensors are larger than the file")
            self._storages[str(key)] = (_allocated(num_bytes), kind.dtype)
        memory, dtype = self._storages[str(key)]
        if len(memory) != num_bytes or dtype != kind.dtype:
            raise CheckpointError(f"is damaged: it gives two sizes of the storage {str(key)[:40]!r}")
        return Storage(memory.untyped_storage(), kind.dtype, numel)

    def fill(self, keys: Any, order: str) -> None:
        """Read what follows the pickles.

        Args:
            keys: of the storages, in their order.
            order: byte order of the machine that wrote them.

        Raises:
            CheckpointError: they are not those that tensors use, or not whole.
        """
        if type(keys) is not list or any(type(key) not in (str, int) for key in keys):
            raise CheckpointError("is damaged: it does not list its storages")
        if sorted(map(str, keys)) != sorted(self._storages):
            raise CheckpointError("is damaged: the storages that it lists are not those that its tensors use")
        for key in keys:
            memory, dtype = self._storages[str(key)]
            head = self._stream.read(8)
            numel = int.from_bytes(head, "little" if order == "little" else "big", signed=True)
            if len(head) != 8 or numel * dtype.itemsize != len(memory):
                raise CheckpointError(
                    f"is cut off, or damaged: storage {str(key)[:40]!r} is not as long as it should be"
                )
            _fill(memory, self._stream)
            _in_own_order(memory, dtype, order)


def read_zip(stream: BinaryIO, file_bytes: int, device: torch.device, run: Callable[..., Any]) -> Any:
    """Read an archive; `run(stream, end, persistent)` runs a pickle.

    Raises:
        CheckpointError: it is damaged, or no archive of `torch.save`.
    """
    records = zip_records(stream, file_bytes)
    root = next(iter(records), "").partition("/")[0]
    if f"{root}/constants.pkl" in records:
        raise CheckpointError("is a TorchScript program, not a checkpoint")
    record = records.get(f"{root}/data.pkl")
    if record is None:
        raise CheckpointError("is not a checkpoint: torch.save did not write this zip archive")
    packed = next((name for name, record in records.items() if record.is_packed), None)
    if packed is not None:
        raise CheckpointError(f"is a zip archive whose {packed[:80]!r} is compressed, which torch.save never does")
    storages = ZipStorages(stream, records, root, device)
    stream.seek(record.offset)
    return run(stream.read(record.size), storages)


def read_legacy(stream: BinaryIO, file_bytes: int, run: Callable[..., Any]) -> Any:
    """Read an older file; its tensors are on the CPU.

    Raises:
        CheckpointError: it is damaged, or no file of `torch.save`.
    """
    stream.seek(257)
    if stream.read(5) == b"ustar":
        raise CheckpointError(
            "is in the tar format of torch before 0.1.10, which is not read: save it again with a newer one"
        )
    stream.seek(0)
    if run(None, None) != LEGACY_MAGIC or run(None, None) != LEGACY_PROTOCOL:
        raise CheckpointError("is not a checkpoint: torch.save did not write it")
    system = run(None, None)
    is_little = system.get("little_endian", True) if type(system) is dict else True
    storages = LegacyStorages(stream, file_bytes)
    content = run(None, storages)
    storages.fill(run(None, None), "little" if is_little else "big")
    return content
