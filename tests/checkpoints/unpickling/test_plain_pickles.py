"""Files of `pickle.dump` with tensors in them are read, and nothing in them is run."""

import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.storage import TypedStorage, _load_from_bytes

from kinema.checkpoints.unpickling import load_restricted_pickle
from kinema.errors import CheckpointError


def written(tmp_path: Path, content: Any, protocol: int = 4) -> Path:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol))
    return tmp_path / "a.pkl"


class Calls:
    """Pickles as the call `function(*args)`."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.function, self.args


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_tensors_come_back(tmp_path: Path, protocol: int, dtype: torch.dtype) -> None:
    tensor = torch.arange(12).reshape(3, 4).to(dtype)
    content = [{"whole": tensor, "part": tensor[1:, ::2], "empty": tensor[:0], "array": np.arange(3)}]
    (read,) = load_restricted_pickle(written(tmp_path, content, protocol)).content
    for name in ("whole", "part", "empty"):
        assert torch.equal(read[name], content[0][name])
        assert read[name].dtype == dtype
    assert read["array"].tolist() == [0, 1, 2]


def test_a_storage_is_read_of_bytes_alone_and_not_again_and_again(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="reads a storage of a int, not of bytes"):
        load_restricted_pickle(written(tmp_path, Calls(_load_from_bytes, 3)))
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        load_restricted_pickle(written(tmp_path, Calls(_load_from_bytes, b"nothing")))
    storage = TypedStorage(wrap_storage=torch.zeros(1000).untyped_storage(), dtype=torch.float32, _internal=True)
    inner = storage.__reduce__()[1][0]
    again = [Calls(_load_from_bytes, inner) for _ in range(50)]
    with pytest.raises(CheckpointError, match="reads the same storage again and again"):
        load_restricted_pickle(written(tmp_path, again))


def test_files_in_a_file_lead_to_no_further_ones(tmp_path: Path) -> None:
    deep = Calls(_load_from_bytes, pickle.dumps(Calls(_load_from_bytes, b"x")))
    with pytest.raises(CheckpointError, match=r"torch\.storage\._load_from_bytes"):
        load_restricted_pickle(written(tmp_path, deep))


def test_damaged_files_are_errors_of_one_kind(tmp_path: Path) -> None:
    whole = written(tmp_path, [{"a": torch.arange(5), "b": "text"}] * 3).read_bytes()
    drawn = random.Random(0)
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(drawn.randint(1, 4)):
            damaged[drawn.randrange(len(damaged))] = drawn.randrange(256)
        file = tmp_path / "b.pkl"
        file.write_bytes(damaged[: drawn.randint(1, len(damaged))])
        try:
            load_restricted_pickle(file)
        except CheckpointError as error:
            assert str(file) in str(error)  # noqa: PT017 - most are damaged, some are read
