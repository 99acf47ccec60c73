import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from kinema import __version__
from kinema.errors import CheckpointError
from kinema.models import LoadReport, load_checkpoint, load_state, read_state, save_pretrained


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4), nn.Linear(4, 2))


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(left, right) for left, right in pairs)


def test_a_saved_folder_gives_the_same_weights_and_its_config(tmp_path: Path) -> None:
    source, target = net(), net()
    folder = save_pretrained(source, tmp_path / "runs" / "a", config={"classes": ("x", "y")})
    report = load_checkpoint(target, folder, strict=True)
    assert same(source, target)
    assert report.is_complete
    assert str(report) == "loaded 9 of 9 tensors"
    assert json.loads((folder / "config.json").read_text()) == {
        "format": 1,
        "kinema_version": __version__,
        "classes": ["x", "y"],
    }
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_saving_again_replaces_the_folder_and_leaves_nothing_else(tmp_path: Path) -> None:
    save_pretrained(net(), tmp_path / "a", config={}, training={"step": 3})
    source, target = net(), net()
    save_pretrained(source, tmp_path / "a", config={})
    load_checkpoint(target, tmp_path / "a")
    assert same(source, target)
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    assert not (tmp_path / "a" / "training.pt").exists()


def test_training_state_is_saved_beside_the_weights(tmp_path: Path) -> None:
    folder = save_pretrained(net(), tmp_path / "a", config={}, training={"step": 3, "moment": torch.ones(2)})
    assert torch.load(folder / "training.pt", weights_only=True)["step"] == 3


def test_a_config_that_json_cannot_hold_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="config of a checkpoint must be plain dicts, .* type Conv3d is not"):
        save_pretrained(net(), tmp_path / "a", config={"model": nn.Conv3d(1, 1, 1)})
    assert not list(tmp_path.iterdir())


def test_shared_and_strided_tensors_are_saved_as_they_look(tmp_path: Path) -> None:
    source = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4), "conv": nn.Conv3d(2, 3, 3)})
    source["b"].weight = source["a"].weight
    source["a"].bias = nn.Parameter(torch.arange(8.0)[::2])
    source["conv"].to(memory_format=torch.channels_last_3d)
    state = read_state(save_pretrained(source, tmp_path / "a", config={}))
    assert {name: torch.equal(state[name], tensor) for name, tensor in source.state_dict().items()} == dict.fromkeys(
        source.state_dict(), True
    )


@pytest.mark.parametrize("key", [None, "state_dict", "model", "model_state"])
def test_weights_are_found_under_the_usual_keys(tmp_path: Path, key: str | None) -> None:
    state = net().state_dict()
    torch.save(state if key is None else {key: state, "meta": {"epoch": 3}}, tmp_path / "a.pth")
    assert list(read_state(tmp_path / "a.pth")) == list(state)


class Payload:
    """Calls `function(mark)` when it is unpickled."""

    def __init__(self, function: Callable, mark: Path) -> None:
        self.function, self.mark = function, str(mark)

    def __reduce__(self) -> tuple:
        return self.function, (self.mark,)


@pytest.mark.parametrize(("function", "name"), [(os.mkdir, "posix.mkdir"), (net, "test_model_checkpoint.net")])
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path: Path, function, name: str) -> None:
    content = {"state_dict": net().state_dict(), "extra": Payload(function, tmp_path / "mark")}
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=rf"a\.pth holds .*{name}, which is not weights; it was not loaded"):
        read_state(tmp_path / "a.pth")
    assert not (tmp_path / "mark").exists()


def write_garbage(path: Path) -> None:
    path.write_bytes(b"no checkpoint at all")


def write_nothing(path: Path) -> None:
    path.write_bytes(b"")


def write_half(path: Path) -> None:
    torch.save(net().state_dict(), path)
    path.write_bytes(path.read_bytes()[:900])


@pytest.mark.parametrize("write", [write_garbage, write_nothing, write_half])
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_file_that_is_no_checkpoint_is_one_clear_line(tmp_path: Path, write, name: str) -> None:
    write(tmp_path / name)
    with pytest.raises(CheckpointError, match=r"a\.\w+ is not a (checkpoint|safetensors file): ") as caught:
        read_state(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "found"), [([1, 2], "a list"), ({"epoch": 3, "meta": {}}, "a dict with epoch, meta"), ({}, "nothing")]
)
def test_a_file_without_weights_says_what_it_holds(tmp_path: Path, content, found: str) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=f"holds no weights: expected a state dict, found .*{found}"):
        read_state(tmp_path / "a.pth")


def test_missing_files_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth: there is no such checkpoint"):
        read_state(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match=r"the folder holds no model\.safetensors"):
        read_state(tmp_path)


def test_names_are_revised_and_what_models_make_themselves_may_differ() -> None:
    source, target = net(), net()
    state = {f"module.{name}": tensor for name, tensor in source.state_dict().items() if "num_batches" not in name}
    state["module.data_preprocessor.mean"] = torch.zeros(3)
    state["module.2.relative_position_index"] = torch.zeros(3)
    report = load_state(target, state, strict=True)
    assert same(source, target)
    assert (report.loaded, report.expected) == (8, 8)


def test_revise_keys_apply_in_their_order() -> None:
    source, target = net(), net()
    state = {f"net.stem.{name}": tensor for name, tensor in source.state_dict().items()}
    load_state(target, state, strict=True, revise_keys=[(r"^net\.", ""), (r"^stem\.", "")])
    assert same(source, target)


def test_the_report_names_what_is_missing_unexpected_and_of_another_shape() -> None:
    target = net()
    before = target[2].weight.clone()
    state = net().state_dict()
    state["2.weight"] = torch.zeros(7, 4)
    state["head.x"] = torch.zeros(1)
    del state["0.bias"]
    report = load_state(target, state)
    assert report == LoadReport(7, 9, ("0.bias",), ("head.x",), (("2.weight", (7, 4), (2, 4)),))
    assert not report.is_complete
    assert str(report) == (
        "loaded 7 of 9 tensors; missing in the checkpoint, left as they were: 0.bias; of another shape, left as they "
        "were: 2.weight (7x4 there, 2x4 here); not in the model, not used: head.x"
    )
    assert torch.equal(target[2].weight, before)


def test_a_long_report_is_shortened() -> None:
    report = LoadReport(1, 11, tuple(f"layer{number}" for number in range(10)))
    assert str(report).endswith("layer6, layer7 and 2 more")


def test_strict_loading_changes_nothing_when_something_differs() -> None:
    target = net()
    before = target[0].weight.clone()
    state = net().state_dict()
    del state["0.bias"]
    with pytest.raises(CheckpointError, match=r"the checkpoint does not fit Sequential: loaded 8 of 9 .* 0\.bias"):
        load_state(target, state, strict=True)
    assert torch.equal(target[0].weight, before)


def test_a_checkpoint_of_another_model_is_refused_with_its_name(tmp_path: Path) -> None:
    torch.save({"cls_head.fc.weight": torch.zeros(2, 2)}, tmp_path / "a.pth")
    with pytest.raises(
        CheckpointError,
        match=r"a\.pth: nothing in the checkpoint fits Sequential: it has cls_head\.fc\.weight; the model",
    ):
        load_checkpoint(net(), tmp_path / "a.pth")
