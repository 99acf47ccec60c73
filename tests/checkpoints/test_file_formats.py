"""Files of other publishers go into a network in full, or not at all."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kinema.checkpoints.file_formats import FileFormat, Views, format_of, load_whole
from kinema.checkpoints.reading import read_checkpoint
from kinema.errors import CheckpointError


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(2, 6)
        self.register_buffer("table", torch.zeros(3))


def views_of(encoder: nn.Module) -> Views:
    assert isinstance(encoder, Encoder)
    query, key, value = encoder.qkv.weight.chunk(3)
    return {"q": query, "k": key, "v": value, "encoder.bias": encoder.qkv.bias}


def views_of_head(head: nn.Module) -> Views:
    assert isinstance(head, nn.Linear)
    return {"head.weight": head.weight, "head.bias": head.bias}


FORMAT = FileFormat(
    "Encoder of Example",
    views_of,
    views_of_head,
    prefixes=("module.", "backbone."),
    branches=("target_encoder", "encoder"),
    spare=r"^decoder\.",
)


def weights(fill: float = 1.0, **others: Tensor) -> dict[str, Tensor]:
    own = {name: torch.full((2, 2), fill * index) for index, name in enumerate("qkv", 1)}
    return {**own, "encoder.bias": torch.full((6,), fill), **others}


def write(folder: Path, content: object) -> Path:
    torch.save(content, folder / "weights.pt")
    return folder / "weights.pt"


def test_parts_of_a_tensor_are_filled_under_the_names_of_the_file(tmp_path: Path) -> None:
    encoder = Encoder()
    state = {f"module.backbone.{name}": tensor for name, tensor in weights().items()}
    report = load_whole(write(tmp_path, state), [FORMAT], encoder)
    assert encoder.qkv.weight[:, 0].tolist() == [1, 1, 2, 2, 3, 3]
    assert report.is_complete
    assert report.loaded == 4


def test_a_prefix_is_taken_from_the_front_only(tmp_path: Path) -> None:
    state = weights() | {"q.module.x": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"unexpected: q\.module\.x\. Nothing was loaded"):
        load_whole(write(tmp_path, state), [FORMAT], Encoder())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"q": None}, "missing: q"),
        ({"norm": torch.zeros(2)}, "unexpected: norm"),
        ({"v": torch.zeros(2, 3)}, r"of another shape: v \(2x3 there, 2x2 here\)"),
    ],
)
def test_a_file_that_does_not_fit_in_full_changes_nothing(tmp_path: Path, change: dict, problem: str) -> None:
    encoder = Encoder()
    before = encoder.qkv.weight.clone()
    state = {name: tensor for name, tensor in (weights() | change).items() if tensor is not None}
    with pytest.raises(CheckpointError, match=rf"weights\.pt .* Encoder, read as Encoder of Example: {problem}"):
        load_whole(write(tmp_path, state), [FORMAT], encoder)
    assert torch.equal(encoder.qkv.weight, before)


def test_the_branch_of_a_file_is_chosen_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write(tmp_path, {"encoder": weights(10), "target_encoder": weights(1), "epoch": 3})
    for branch, first, said in ((None, 1, "target_encoder"), ("encoder", 10, "encoder")):
        encoder = Encoder()
        with caplog.at_level(logging.INFO, "kinema"):
            load_whole(file, [FORMAT], encoder, branch=branch)
        assert encoder.qkv.weight[0, 0] == first
        assert f"from its weights under '{said}'" in caplog.text
    with pytest.raises(CheckpointError, match="no weights under 'ema': it has them under encoder, target_encoder"):
        load_whole(file, [FORMAT], Encoder(), branch="ema")


def test_a_branch_of_a_file_without_branches_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="it is one set of weights, without such keys"):
        load_whole(write(tmp_path, weights()), [FORMAT], Encoder(), branch="ema")


def test_a_classifier_is_loaded_left_out_or_new_and_the_log_says_which(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = weights(**{"head.weight": torch.ones(3, 2), "head.bias": torch.ones(3)})
    file = write(tmp_path, whole)
    with caplog.at_level(logging.INFO, "kinema"):
        head = nn.Linear(2, 3)
        load_whole(file, [FORMAT], Encoder(), head)
        assert head.weight.eq(1).all()
        load_whole(file, [FORMAT], Encoder())
        assert "not needed: head.weight, head.bias" in caplog.text
        report = load_whole(file, [FORMAT], Encoder(), nn.Linear(2, 5))
        assert "the classifier is new, for 5 classes in place of 3" in caplog.text
        assert len(report.mismatched) == 2
        load_whole(write(tmp_path, weights(**{"decoder.x": torch.ones(1)})), [FORMAT], Encoder(), nn.Linear(2, 3))
        assert "the file has no head: the classifier is new; not needed: decoder.x" in caplog.text


def test_a_checkpoint_under_the_networks_own_names_is_of_no_format(tmp_path: Path) -> None:
    encoder = Encoder()
    assert format_of(read_checkpoint(write(tmp_path, encoder.state_dict())), [FORMAT], encoder) is None
    assert format_of(read_checkpoint(write(tmp_path, weights())), [FORMAT], encoder) is FORMAT


def test_a_file_with_the_sign_of_a_format_is_of_no_other(tmp_path: Path) -> None:
    encoder = Encoder()
    signed = replace(FORMAT, name="Example's pretraining", sign=r"^decoder\.", optional="^k$")
    without_keys = {name: tensor for name, tensor in weights().items() if name != "k"}
    with pytest.raises(CheckpointError, match="read as Encoder of Example: missing: k"):
        load_whole(write(tmp_path, without_keys), [FORMAT, signed], encoder)
    load_whole(write(tmp_path, without_keys | {"decoder.x": torch.ones(1)}), [FORMAT, signed], encoder)
    assert encoder.qkv.weight[4:, 0].tolist() == [3, 3]
