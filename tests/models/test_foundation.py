"""Today's encoders give what their authors' own code gives, from weights filled by name."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from foundation_fixtures import build
from parity_fill import fill_state, fixed_input

FIXTURES = Path(__file__).parent / "fixtures" / "foundation"
# More of them may lie beside the checkout.
SHARED = Path(__file__).parents[2].parent / "shared" / "foundation"
SUFFIX = ".json.gz"
# An approximate GELU is 1e-4 off, other right implementations at most 7e-6.
TOLERANCE = 2e-5
QUICK_PARAMETERS = 3_000_000


def read(file: Path) -> dict:
    return json.loads(gzip.decompress(file.read_bytes()))


def parameters() -> list[object]:
    files = {file.name: file for folder in (SHARED, FIXTURES) for file in sorted(folder.glob(f"*{SUFFIX}"))}
    return [
        pytest.param(
            file,
            id=name.removesuffix(SUFFIX),
            marks=[] if file.parent == FIXTURES and read(file)["num_params"] < QUICK_PARAMETERS else [pytest.mark.slow],
        )
        for name, file in sorted(files.items())
    ]


def assert_equal(actual: torch.Tensor, expected: dict, what: str) -> None:
    values = actual.detach().to(torch.float64).numpy()
    assert list(values.shape) == expected["shape"], what
    tolerance = TOLERANCE * expected["absmax"]
    flat = values.reshape(-1)
    first, last = np.array(expected["first"]), np.array(expected.get("last", flat[-1:]))
    for part, own, given in (("first", flat[: len(first)], first), ("last", flat[-len(last) :], last)):
        assert np.abs(own - given).max() <= tolerance, f"{what}: {part}"
    for statistic, own in (("mean", flat.mean()), ("std", flat.std()), ("absmax", np.abs(flat).max())):
        assert abs(own - expected[statistic]) <= tolerance, f"{what}: {statistic}"


@pytest.mark.parametrize("file", parameters())
def test_an_encoder_gives_the_outputs_of_its_original(file: Path) -> None:
    fixture = read(file)
    described = {key: fixture[key] for key in ("name", "family", "source", "how", "config", "input_shape")}
    built = build(described)
    names = [name for name, _, _ in fixture["state"]]
    assert sorted(built.tensors) == sorted(names)
    assert {name: list(tensor.shape) for name, tensor in built.tensors.items()} == {
        name: shape for name, shape, _ in fixture["state"]
    }
    fill_state(built.tensors)
    outputs = built.outputs(torch.from_numpy(fixed_input(fixture["input_shape"])))
    for name, expected in fixture["outputs"].items():
        assert_equal(outputs[name], expected, f"{fixture['name']}: {name}")
