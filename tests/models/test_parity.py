"""Every family gives the names, shapes and scores of the original implementation."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from parity_fill import fill_state, fixed_input

from kinema.registry import MODELS

FIXTURES = Path(__file__).parent / "fixtures"
# More of them may lie beside the checkout.
SHARED = Path(__file__).parents[2].parent / "shared" / "parity"
SUFFIX = ".json.gz"
QUICK = ("ircsn_", "slowonly_r50_", "tsm_imagenet-pretrained-mobilenetv2_", "tsn_", "x3d_")
# Skeleton graphs come later.
NOT_BUILT = (
    "skeleton/2s-agcn",
    "skeleton/stgcn",
    "skeleton/stgcnpp",
)


def parameters() -> list[object]:
    """Files of fixtures.

    Filling millions of weights takes seconds, so only the smallest are in the fast suite.
    """
    files = {file.name: file for folder in (SHARED, FIXTURES) for file in folder.glob(f"*{SUFFIX}")}
    return [
        pytest.param(
            file,
            id=name.removesuffix(SUFFIX).split("_8xb")[0],
            marks=[] if name.startswith(QUICK) and file.parent == FIXTURES else [pytest.mark.slow],
        )
        for name, file in sorted(files.items())
    ]


def read(file: Path) -> dict:
    return json.loads(gzip.decompress(file.read_bytes()))


@pytest.mark.parametrize("file", parameters())
def test_a_model_has_the_originals_weights_and_gives_its_scores(file: Path) -> None:
    fixture = read(file)
    if file.parent != FIXTURES and fixture["family"].startswith(NOT_BUILT):
        pytest.skip(f"the family {fixture['family']} is not built yet")
    config = fixture["model"]
    config["cls_head"]["average_clips"] = "score"
    model = MODELS.build(config).eval()
    state = model.state_dict()
    entries = [[name, list(tensor.shape), str(tensor.dtype).removeprefix("torch.")] for name, tensor in state.items()]
    assert entries == fixture["state"]
    assert sum(parameter.numel() for parameter in model.parameters()) == fixture["num_params"]

    fill_state(state)
    with torch.no_grad():
        samples = model(torch.from_numpy(fixed_input(fixture["input_shape"])), mode="predict")
    scores = np.stack([sample.pred_score.numpy() for sample in samples])
    expected = fixture["logits"]
    assert list(scores.shape) == expected["shape"]
    first = np.array(expected["first"])
    assert first.size >= min(24, scores.size)
    tolerance = 1e-4 * expected["absmax"]
    assert np.abs(scores.flatten()[: len(first)] - first).max() <= tolerance
    assert abs(scores.mean() - expected["mean"]) <= tolerance
    assert abs(np.abs(scores).max() - expected["absmax"]) <= tolerance


@pytest.mark.skipif(not SHARED.is_dir(), reason="no fixtures beside the checkout")
def test_the_fixtures_here_are_those_beside_the_checkout() -> None:
    copies = sorted(FIXTURES.glob(f"*{SUFFIX}"))
    assert len(copies) >= 17
    for copy in copies:
        originals = [folder / copy.name for folder in (SHARED, SHARED.parent / "skeleton" / "parity")]
        assert copy.read_bytes() in [file.read_bytes() for file in originals if file.is_file()], copy.name
