"""Every family gives the names, shapes and scores of the original implementation."""

import gzip
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from kinema.registry import MODELS

PARITY = Path(__file__).parents[2].parent / "shared" / "parity"
FIXTURES = sorted(PARITY.glob("*.json.gz"))
# Transformers, skeleton graphs and audio come later.
NOT_BUILT = (
    "skeleton/2s-agcn",
    "skeleton/stgcn",
    "skeleton/stgcnpp",
    "recognition/mvit",
    "recognition/swin",
    "recognition/timesformer",
    "recognition/uniformer",
    "recognition/uniformerv2",
    "recognition/videomae",
    "recognition_audio/resnet",
)

pytestmark = pytest.mark.skipif(not FIXTURES, reason="the parity fixtures are not here")


def read(file: Path) -> dict:
    return json.loads(gzip.decompress(file.read_bytes()))


def built() -> list[object]:
    """The fixtures of families that exist. Filling millions of weights takes seconds, so larger ones are slow."""
    found = []
    for file in FIXTURES:
        fixture = read(file)
        if not fixture["family"].startswith(NOT_BUILT):
            marks = [pytest.mark.slow] if fixture["num_params"] > 10e6 else []
            found.append(pytest.param(file, id=fixture["name"].split("_8xb")[0], marks=marks))
    return found


@pytest.fixture(scope="module")
def fill() -> ModuleType:
    spec = importlib.util.spec_from_file_location("parity_fill", PARITY / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", built())
def test_a_model_has_the_originals_weights_and_gives_its_scores(file: Path, fill: ModuleType) -> None:
    fixture = read(file)
    config = fixture["model"]
    config["cls_head"]["average_clips"] = "score"
    model = MODELS.build(config).eval()
    state = model.state_dict()
    ours = [[name, list(one.shape), str(one.dtype).removeprefix("torch.")] for name, one in state.items()]
    assert ours == fixture["state"]
    assert sum(one.numel() for one in model.parameters()) == fixture["num_params"]

    fill.fill_state(state)
    with torch.no_grad():
        samples = model(torch.from_numpy(fill.fixed_input(fixture["input_shape"])), mode="predict")
    scores = np.stack([sample.pred_score.numpy() for sample in samples])
    expected = fixture["logits"]
    assert list(scores.shape) == expected["shape"]
    first = np.reshape(expected["first"], (len(scores), -1))
    tolerance = 1e-4 * expected["absmax"]
    assert np.abs(scores[:, : first.shape[1]] - first).max() <= tolerance
    assert abs(scores.mean() - expected["mean"]) <= tolerance
