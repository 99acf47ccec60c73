"""What the files hold that Weights & Biases writes offline: a killed process loses what waited to be written."""

import json
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

_BLOCK_BYTES = 32768
_HEAD_BYTES = 7  # of the file, and of each piece of a record: checksum, length, kind
_WHOLE, _LAST = 1, 4  # kinds of pieces that end a record


def steps_in_files(files: Sequence[Path]) -> dict[str, set[int]] | None:
    """The steps of each split that have figures in W&B's files of a run.

    Returns:
        By "train" and "val"; None where a file is gone, as after `wandb sync --clean`, or where W&B
        has another format: then nobody knows.
    """
    try:
        record_type = import_module("wandb.proto.wandb_internal_pb2").Record
    except ImportError:
        return None
    steps: dict[str, set[int]] = {}
    for file in files:
        try:
            content = file.read_bytes()
        except OSError:
            return None
        for text in _records(content):
            record = record_type()
            with suppress(Exception):  # cut off by the kill
                record.ParseFromString(text)
                row = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
                for split in {name.partition("/")[0] for name in row if "/" in name}:
                    steps.setdefault(split, set()).add(int(json.loads(row["step"])))
    return steps


def _records(content: bytes) -> Iterator[bytes]:
    """The records of a file in LevelDB's format of logs, each in pieces that do not cross blocks."""
    place, record = _HEAD_BYTES, b""
    while place + _HEAD_BYTES <= len(content):
        room = _BLOCK_BYTES - place % _BLOCK_BYTES
        if room < _HEAD_BYTES:
            place += room
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        place += _HEAD_BYTES
        record += content[place : place + length]
        place += length
        if kind in (_WHOLE, _LAST):
            yield record
            record = b""
