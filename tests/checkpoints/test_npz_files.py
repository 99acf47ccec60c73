"""Weights in archives of numpy's arrays, as JAX users publish them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.checkpoints.npz_files import read_npz
from kinema.checkpoints.reading import read_checkpoint
from kinema.errors import CheckpointError


def test_arrays_are_weights_under_their_paths(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    halves = torch.tensor([1.5, -2.0], dtype=torch.bfloat16)
    np.savez_compressed(
        tmp_path / "weights.npz",
        **{
            "params/layer/kernel": values,
            "params/big_endian": values.astype(">f4"),
            "params/bfloat16": halves.view(torch.int16).numpy().view("V2"),
            "step": np.int64(3),
        },
    )
    state = read_checkpoint(tmp_path / "weights.npz").state
    assert list(state) == ["params/layer/kernel", "params/big_endian", "params/bfloat16", "step"]
    assert np.array_equal(state["params/layer/kernel"], values)
    assert np.array_equal(state["params/big_endian"], values)
    assert torch.equal(state["params/bfloat16"], halves)
    assert state["step"].item() == 3


class Trap:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path("sprung"),)


def test_objects_in_a_file_are_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "weights.npz", trap=np.array([Trap()], dtype=object))
    with pytest.raises(CheckpointError, match=r"weights\.npz is not an \.npz file of arrays: Object arrays cannot"):
        read_npz(tmp_path / "weights.npz", "cpu")
    assert not Path("sprung").exists()


def test_what_is_no_archive_of_numbers_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "weights.npz"
    np.savez(file, names=np.array(["a", "b"]))
    with pytest.raises(CheckpointError, match="names is no array of numbers, got <U1"):
        read_npz(file, "cpu")
    np.savez(file, values=np.ones(100))
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match="is not an .npz file of arrays: File is not a zip file"):
        read_npz(file, "cpu")
    np.savez_compressed(file, zeros=np.zeros(1 << 20))
    with pytest.raises(CheckpointError, match="over 100 times its size: it holds no weights"):
        read_npz(file, "cpu")
