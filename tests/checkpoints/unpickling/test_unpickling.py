"""Files of `torch.save` from elsewhere are read, and nothing in them is run."""

import argparse
import collections
import datetime
import os
import pathlib
import pickle
import warnings
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kinema.checkpoints.unpickling import Inert, load_restricted
from kinema.errors import CheckpointError
from kinema.models import read_checkpoint

WEIGHTS = {"conv.weight": torch.arange(6.0).reshape(2, 3)}


class HistoryBuffer:
    """Stands for a class that is not there where the file is read; pickles its own methods, as MMEngine's does."""

    def __init__(self) -> None:
        self.log = np.arange(3.0)
        self.methods = {"min": HistoryBuffer.smallest}

    def smallest(self) -> float:
        return float(self.log.min())


class Reduces:
    """Pickles as the call `function(*args)`."""

    def __init__(self, function: Callable, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple:
        return self.function, self.args


class ManyItems(dict):
    """A dict of some library."""


def save(tmp_path: Path, content: Any, *, is_zip: bool = True) -> Path:
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=is_zip)
    return tmp_path / "a.pth"


def with_pickle(tmp_path: Path, program: bytes) -> Path:
    """A file of torch.save whose pickle is `program`."""
    whole = save(tmp_path, {"state_dict": WEIGHTS})
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(tmp_path / "b.pth", "w") as new:
        for name in old.namelist():
            new.writestr(name, program if name.endswith("data.pkl") else old.read(name))
    return tmp_path / "b.pth"


@pytest.mark.parametrize("is_zip", [True, False])
def test_objects_of_training_are_read_without_their_classes(tmp_path: Path, is_zip: bool) -> None:
    content = {
        "state_dict": WEIGHTS,
        "hub": {"loss": HistoryBuffer(), "best": np.float64(0.75), "when": np.int64(3)},
        "args": argparse.Namespace(lr=0.1, folder=pathlib.Path("runs") / "a"),
        "items": ManyItems(a=1),
        "others": [
            collections.defaultdict(list, a=[1]),
            collections.deque([1, 2]),
            {3},
            2j,
            torch.float16,
            b"\xff",
            b"",
        ],
        "when": datetime.datetime(2020, 1, 2),
        "arrays": [np.asfortranarray(np.arange(6).reshape(2, 3)), np.array(["x", None], object), np.array(["ab"])],
        "parameter": nn.Parameter(torch.ones(2)),
    }
    read = load_restricted(save(tmp_path, content, is_zip=is_zip))
    state, hub = read.content["state_dict"], read.content["hub"]
    assert torch.equal(state["conv.weight"], WEIGHTS["conv.weight"])
    assert isinstance(hub["loss"], Inert)
    assert hub["loss"].state["log"].tolist() == [0, 1, 2]
    assert (hub["best"], hub["when"]) == (0.75, 3)
    assert read.content["args"].state == {"lr": 0.1, "folder": "runs/a"}
    assert read.content["items"].items == [("a", 1)]
    assert read.content["others"] == [{"a": [1]}, [1, 2], {3}, 2j, torch.float16, b"\xff", b""]
    assert isinstance(read.content["when"], Inert)
    assert [one.tolist() for one in read.content["arrays"]] == [[[0, 1, 2], [3, 4, 5]], ["x", None], ["ab"]]
    assert read.content["parameter"].tolist() == [1, 1]
    names = {name.rpartition(".")[2] for name in read.inert}
    assert names == {"HistoryBuffer", "Namespace", "ManyItems", "datetime"}


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_arrays_of_both_generations_of_numpy_are_read(tmp_path: Path, module: str) -> None:
    program = pickle.dumps({"state_dict": {}, "a": np.arange(3, dtype=">i4"), "b": np.float32(0.5)}, protocol=2)
    renamed = program.replace(b"cnumpy._core.multiarray", f"c{module}".encode())
    content = load_restricted(with_pickle(tmp_path, renamed)).content
    assert content["a"].tolist() == [0, 1, 2]
    assert content["b"] == np.float32(0.5)


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("posix.mkdir", lambda mark: Reduces(os.mkdir, mark)),
        ("posix.system", lambda mark: Reduces(os.system, f"mkdir {mark}")),
        ("builtins.eval", lambda mark: Reduces(eval, f"__import__('os').mkdir({mark!r})")),
        ("builtins.exec", lambda mark: Reduces(exec, f"__import__('os').mkdir({mark!r})")),
        ("builtins.__import__", lambda mark: Reduces(__import__, "antigravity")),
        ("torch.serialization.load", lambda mark: Reduces(torch.load, mark)),
        ("torch.storage._load_from_bytes", lambda mark: Reduces(torch.storage._load_from_bytes, b"x")),
        (r"test_unpickling\.HistoryBuffer", lambda mark: Reduces(HistoryBuffer)),
        ("fractions.Fraction", lambda mark: Fraction(1, 2)),
    ],
)
def test_a_call_of_anything_unknown_is_refused_and_not_run(tmp_path: Path, name: str, payload, is_zip: bool) -> None:
    mark = str(tmp_path / "mark")
    file = save(tmp_path, {"state_dict": WEIGHTS, "extra": payload(mark)}, is_zip=is_zip)
    with pytest.raises(CheckpointError, match=rf"a\.pth calls .*{name}.*which is not needed .* nothing was run\. Save"):
        read_checkpoint(file)
    assert not Path(mark).exists()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        # INST and OBJ, by which the oldest pickles call
        (b"(S'mark'\nios\nmkdir\n.", "calls os.mkdir"),
        (b"(cos\nmkdir\nS'mark'\no.", "calls os.mkdir"),
        # the attributes of a known function
        (b"ctorch._utils\n_rebuild_tensor_v2\n}S'__defaults__'\n(tsb.", "sets the attributes of a Callee"),
        # an attribute of something real
        (b"c__builtin__\ngetattr\n(ccollections\nOrderedDict\nS'__init__'\ntR.", "calls builtins.getattr of"),
        # a known class made by way of another
        (b"ccopy_reg\n_reconstructor\n(ccollections\nOrderedDict\nc__builtin__\nobject\nNtR.", "calls copyreg._recons"),
        (b"ccopy_reg\n__newobj__\n(ccollections\nOrderedDict\ntR.", "calls copyreg.__newobj__"),
        (b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.", "encodes bytes as 'rot13'"),
        (b"cnumpy\ndtype\n(S'V8'\nI00\nI01\ntR.", "array of the unusual type 'V8'"),
        (b"cnumpy._core.multiarray\nscalar\n(cos\nmkdir\nS'x'\ntR.", "array of the unusual type"),
        (b"cnumpy._core.multiarray\nscalar\n(cnumpy\ndtype\n(S'f8'\nI00\nI01\ntRS'x'\ntR.", "a number whose content"),
    ],
)
def test_hand_written_pickles_reach_nothing(tmp_path: Path, monkeypatch, program: bytes, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=rf"b\.pth .*({said})"):
        read_checkpoint(with_pickle(tmp_path, program))
    assert not (tmp_path / "mark").exists()


def test_an_array_of_objects_needs_a_list_and_one_of_numbers_bytes(tmp_path: Path) -> None:
    head = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I1\ntcnumpy\ndtype\n"
    with pytest.raises(CheckpointError, match="an array whose content is not of its type"):
        read_checkpoint(with_pickle(tmp_path, head + b"(S'O8'\nI00\nI01\ntRI00\nS'12345678'\ntb."))


def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(nn.Linear(2, 2)).save(str(tmp_path / "a.pth"))
    with pytest.raises(CheckpointError, match=r"a\.pth is a TorchScript program, not a checkpoint"):
        read_checkpoint(tmp_path / "a.pth")


def test_a_whole_pickled_model_holds_no_state_dict(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no weights: expected a state dict, found a Linear"):
        read_checkpoint(save(tmp_path, nn.Linear(2, 2)))
