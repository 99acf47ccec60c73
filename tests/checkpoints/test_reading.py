from pathlib import Path

import pytest
import torch
from torch import nn

from kinema.checkpoints import read_checkpoint
from kinema.checkpoints.store import CheckpointStore
from kinema.errors import CheckpointError


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4), nn.Linear(4, 2))


def write_garbage(path: Path) -> None:
    path.write_bytes(b"no checkpoint at all")


def write_nothing(path: Path) -> None:
    path.write_bytes(b"")


def write_half(path: Path) -> None:
    torch.save(net().state_dict(), path)
    path.write_bytes(path.read_bytes()[:900])


@pytest.mark.parametrize("key", [None, "state_dict", "model", "model_state", "module", "model_state_dict"])
def test_weights_are_found_under_the_usual_keys(tmp_path: Path, key: str | None) -> None:
    state = net().state_dict()
    torch.save(state if key is None else {key: state, "meta": {"epoch": 3}}, tmp_path / "a.pth")
    assert list(read_checkpoint(tmp_path / "a.pth").state) == list(state)


@pytest.mark.parametrize("write", [write_garbage, write_nothing, write_half])
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_file_that_is_no_checkpoint_is_one_clear_line(tmp_path: Path, write, name: str) -> None:
    write(tmp_path / name)
    with pytest.raises(CheckpointError, match=r"a\.\w+ is not a (checkpoint|safetensors file): ") as caught:
        read_checkpoint(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "found"), [([1, 2], "a list"), ({"epoch": 3, "meta": {}}, "a dict with epoch, meta"), ({}, "nothing")]
)
def test_a_file_without_weights_says_what_it_holds(tmp_path: Path, content, found: str) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=f"holds no weights: expected a state dict, found .*{found}"):
        read_checkpoint(tmp_path / "a.pth")


def test_missing_files_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth: there is no such checkpoint"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match=r"the folder holds no model\.safetensors"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("key", ["model_ema", "teacher", "net", "encoder"])
def test_weights_are_found_under_the_keys_of_other_trainers(tmp_path: Path, key: str) -> None:
    torch.save({"epoch": 3, key: net().state_dict(), "optimizer": {}}, tmp_path / "a.pth")
    assert len(read_checkpoint(tmp_path / "a.pth").state) == len(net().state_dict())


def test_a_work_folder_stands_for_its_best_checkpoint(small_run: Path) -> None:
    read = read_checkpoint(small_run)
    best = CheckpointStore(small_run).find("best")
    assert best is not None
    assert read.path == best / "model.safetensors"
