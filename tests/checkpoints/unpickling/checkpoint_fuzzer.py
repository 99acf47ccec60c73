"""Reads files that are almost checkpoints: `python checkpoint_fuzzer.py FOLDER SEED SECONDS`.

Valid files are changed: bytes, lengths, operations of their pickles, pieces of one in another. Each
is read under an audit hook, a limit of memory of four times the file and 64 MB, and one of CPU
time. It may be refused or give tensors that can be read; anything else ends this process with what
happened, and FOLDER holds the file. Prints how many were refused and read.
"""

import collections
import contextlib
import io
import pickletools
import random
import resource
import signal
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from kinema.checkpoints.unpickling import load_restricted
from kinema.errors import CheckpointError
from kinema.models import read_checkpoint

CPU_SECONDS = 20.0  # for a file of some kilobytes
WATCHED = (
    "socket.",
    "subprocess.",
    "os.",
    "import",
    "exec",
    "compile",
    "ctypes.",
    "pickle.find_class",
    "shutil.",
    "tempfile.",
    "marshal.",
)
HARMLESS = ("os.listdir", "os.scandir")


class Trouble(BaseException):
    """Something that must not happen; no handler of errors catches it."""


is_watching = False
case = Path(sys.argv[1]) / "case.pth"


def watch(event: str, args: tuple[Any, ...]) -> None:
    if not is_watching:
        return
    if event.startswith(WATCHED) and event not in HARMLESS:
        raise Trouble(f"{event} {args!r}"[:300])
    if event == "open" and str(args[0]) != str(current):
        raise Trouble(f"opened {args!r}"[:300])


def too_long(*_: object) -> None:
    raise Trouble(f"more than {CPU_SECONDS} s of CPU time")


class Shell:
    """An object of a class that is not imported."""

    def __init__(self) -> None:
        self.log, self.count = np.arange(5.0), 3


def contents() -> list[Any]:
    base = torch.arange(24.0).reshape(4, 6)
    state = collections.OrderedDict(
        {"conv.weight": base, "conv.bias": base[0], "view": base.t()[1:], "n": torch.tensor(3)}
    )
    rich = {
        "state_dict": state,
        "meta": {"cfg": "model = dict(type='x')", "epoch": 3, "classes": ("a", "b"), "when": None, "lr": 0.1},
        "hub": {
            "loss": Shell(),
            "best": np.float64(0.5),
            "names": np.array(["a", None], object),
            "text": np.array(["ab"]),
        },
        "optimizer": {
            "state": {0: {"step": torch.tensor(1.0), "exp": base.bfloat16()}},
            "groups": [{"params": [0, 1]}],
        },
        "others": [
            {3, "x"},
            frozenset([1]),
            b"\xff" * 20,
            2**70,
            -1,
            True,
            (1, (2, (3,))),
            collections.defaultdict(list, a=[1]),
        ],
        "param": torch.nn.Parameter(base.half()),
    }
    return [{"state_dict": state}, rich]


def seeds() -> list[bytes]:
    files = []
    for content in contents():
        for is_zip in (True, False):
            for protocol in (2, 4):
                file = io.BytesIO()
                torch.save(content, file, _use_new_zipfile_serialization=is_zip, pickle_protocol=protocol)
                files.append(file.getvalue())
    files.append(safetensors.torch.save({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.int8)}))
    return files


# ---- changes

NUMBERS = [0, 1, 2, 4, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]
OPERATIONS = b"(.012FIJKLMNPQRSTUVXabcdeghijloqrstu}])\x80\x81\x82\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97BCG"
FUNCTIONS = (
    *(
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_tensor_v3",
        "collections OrderedDict",
        "builtins list",
        "builtins set",
    ),
    *(
        "numpy._core.multiarray _reconstruct",
        "numpy._core.multiarray scalar",
        "numpy dtype",
        "_codecs encode",
        "builtins getattr",
    ),
    *(
        "torch FloatStorage",
        "torch Size",
        "torch.serialization load",
        "os system",
        "builtins dict",
        "copyreg _reconstructor",
    ),
)


def flip(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 2, 8])):
        changed[draw.randrange(len(changed))] = draw.choice([draw.randrange(256), draw.choice(OPERATIONS)])
    return bytes(changed)


def number(data: bytes, draw: random.Random) -> bytes:
    value = struct.pack("<Q", draw.choice(NUMBERS))[: draw.choice([1, 2, 4, 8])]
    at = draw.randrange(len(data))
    return data[:at] + value + data[at + len(value) :]


def cut(data: bytes, draw: random.Random) -> bytes:
    start, length = draw.randrange(len(data)), draw.choice([1, 2, 7, 40, 1000])
    return data[: draw.randrange(len(data))] if draw.random() < 0.3 else data[:start] + data[start + length :]


def repeat(data: bytes, draw: random.Random) -> bytes:
    start, length = draw.randrange(len(data)), draw.choice([1, 2, 3, 9, 60])
    return data[:start] + data[start : start + length] * draw.choice([2, 3, 50, 5000]) + data[start + length :]


def splice(data: bytes, draw: random.Random) -> bytes:
    other = draw.choice(PICKLES)
    start, length, at = draw.randrange(len(other)), draw.choice([3, 10, 50, 300]), draw.randrange(len(data))
    return data[:at] + other[start : start + length] + data[at + draw.choice([0, length]) :]


def operations(data: bytes, draw: random.Random) -> bytes:
    """Operations left out, doubled, exchanged or put in, at the borders of operations."""
    try:
        borders = [at for _, _, at in pickletools.genops(data) if at is not None]
    except (ValueError, IndexError, KeyError, UnicodeError):
        return flip(data, draw)
    for _ in range(draw.choice([1, 1, 3])):
        if len(borders) < 2:
            break
        index = draw.randrange(len(borders) - 1)
        start, end = borders[index], borders[index + 1]
        called = draw.choice(FUNCTIONS).split()
        new = draw.choice(
            [
                b"",
                data[start:end] * 2,
                bytes([draw.choice(OPERATIONS)]),
                f"c{called[0]}\n{called[1]}\n".encode(),
                b"R",
                b"b",
                b"0",
                b"h" + bytes([draw.randrange(60)]),
                b"K" + bytes([draw.randrange(256)]),
                b"\x85" * 50,
                b"]" * 200,
                b"}",
                b"u",
                b"s",
            ]
        )
        # From behind, so that the borders before stay where they are.
        data = data[:start] + new + data[end if draw.random() < 0.5 else start :]
        borders = [at for at in borders if at < start]
    return data


CHANGES: list[Callable[[bytes, random.Random], bytes]] = [
    flip,
    number,
    cut,
    repeat,
    splice,
    operations,
    operations,
    operations,
]


def changed(data: bytes, draw: random.Random) -> bytes:
    for _ in range(draw.choice([1, 1, 1, 2, 4])):
        data = draw.choice(CHANGES)(data, draw) if len(data) > 2 else data
    return data


def mutant(seed: bytes, draw: random.Random) -> bytes:
    """A changed file: as a whole, or with a changed pickle in a whole archive."""
    if seed[:2] != b"PK" or draw.random() < 0.3:
        return changed(seed, draw)
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(seed)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, changed(content, draw) if name.endswith("data.pkl") else content)
    return file.getvalue()


def read_all(content: Any, left: list[int]) -> None:
    """Look at each tensor and array, so that memory that is not theirs would be read."""
    left[0] -= 1
    if left[0] < 0:
        return
    if isinstance(content, torch.Tensor):
        if content.numel():
            content.clone().float().sum().item()
    elif isinstance(content, np.ndarray):
        content.tobytes() if not content.dtype.hasobject else repr(content.tolist())
    elif isinstance(content, dict):
        for value in content.values():
            read_all(value, left)
    elif isinstance(content, list | tuple):
        for value in content:
            read_all(value, left)


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


SEEDS = seeds()
PICKLES = [zipfile.ZipFile(io.BytesIO(one)).read("archive/data.pkl") for one in SEEDS if one[:2] == b"PK"]
for one in SEEDS:  # whatever is imported late is imported now
    current = case.with_suffix(".safetensors") if one[8:9] == b"{" else case
    current.write_bytes(one)
    read_all(dict(read_checkpoint(current).content), [1000])
    with_error = current.with_suffix(".none.pth")
    with_error.write_bytes(one[:-30])
    with contextlib.suppress(CheckpointError):
        load_restricted(with_error)
"\ud800".encode("utf-8", "replace"), "é".encode("latin-1").decode("raw-unicode-escape")  # codecs
sys.addaudithook(watch)
signal.signal(signal.SIGVTALRM, too_long)
draw = random.Random(int(sys.argv[2]))
counts: collections.Counter[str] = collections.Counter()
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    chosen = draw.choice(SEEDS)
    data = mutant(chosen, draw)
    current = case.with_suffix(".safetensors") if chosen[8:9] == b"{" else case
    current.write_bytes(data)
    resource.setrlimit(resource.RLIMIT_AS, (memory() + 4 * len(data) + (64 << 20), hard))
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    is_watching = True
    try:
        result = read_checkpoint(current) if current.suffix == ".safetensors" else load_restricted(current)
        is_watching = False
        read_all(result.content if current.suffix == ".pth" else result.state, [100_000])
        counts["read"] += 1
    except CheckpointError as error:
        cause = f"{type(error.__cause__).__name__}: {error.__cause__}"
        if "MemoryError" in cause or "allocate memory" in cause:
            raise Trouble(f"more memory than four times the file and 64 MB: {error}") from error
        counts["refused"] += 1
        counts[" ".join(str(error).removeprefix(str(current)).split()[:3])] += 1
    finally:
        is_watching = False
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
print(dict(counts.most_common(40)), file=sys.stderr)
print(counts["refused"], counts["read"])
