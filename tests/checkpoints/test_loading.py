import json
import os
import re
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import kinema
from kinema import __version__
from kinema.checkpoints import Checkpoint, LoadReport, load_checkpoint, read_checkpoint, save_pretrained
from kinema.checkpoints.card import model_card
from kinema.checkpoints.saving import remove_leftovers
from kinema.errors import CheckpointError
from kinema.registry import MODELS


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
    state = read_checkpoint(save_pretrained(source, tmp_path / "a", config={})).state
    assert {name: torch.equal(state[name], tensor) for name, tensor in source.state_dict().items()} == dict.fromkeys(
        source.state_dict(), True
    )


@pytest.mark.parametrize("key", [None, "state_dict", "model", "model_state", "module", "model_state_dict"])
def test_weights_are_found_under_the_usual_keys(tmp_path: Path, key: str | None) -> None:
    state = net().state_dict()
    torch.save(state if key is None else {key: state, "meta": {"epoch": 3}}, tmp_path / "a.pth")
    assert list(read_checkpoint(tmp_path / "a.pth").state) == list(state)


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


def test_names_are_revised_and_what_models_make_themselves_may_differ() -> None:
    source, target = net(), net()
    state = {f"module.{name}": tensor for name, tensor in source.state_dict().items() if "num_batches" not in name}
    state["module.data_preprocessor.mean"] = torch.zeros(3)
    state["module.2.relative_position_index"] = torch.zeros(3)
    report = load_checkpoint(target, Checkpoint(state), strict=True)
    assert same(source, target)
    assert (report.loaded, report.expected) == (8, 8)


def test_revise_keys_apply_in_their_order() -> None:
    source, target = net(), net()
    state = {f"net.stem.{name}": tensor for name, tensor in source.state_dict().items()}
    load_checkpoint(target, Checkpoint(state), strict=True, revise_keys=[(r"^net\.", ""), (r"^stem\.", "")])
    assert same(source, target)


def test_the_report_names_what_is_missing_unexpected_and_of_another_shape() -> None:
    target = net()
    before = target[2].weight.clone()
    state = net().state_dict()
    state["2.weight"] = torch.zeros(7, 4)
    state["head.x"] = torch.zeros(1)
    del state["0.bias"]
    report = load_checkpoint(target, Checkpoint(state))
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
        load_checkpoint(target, Checkpoint(state), strict=True)
    assert torch.equal(target[0].weight, before)


def test_a_checkpoint_that_was_read_loads_like_its_path(tmp_path: Path) -> None:
    torch.save(
        {"state_dict": {f"backbone.{name}": one for name, one in net().state_dict().items()}}, tmp_path / "a.pth"
    )
    read = read_checkpoint(tmp_path / "a.pth")
    first, second = net(), net()
    report = load_checkpoint(first, read)
    assert str(report) == str(load_checkpoint(second, tmp_path / "a.pth"))
    assert report.prefix == "backbone."
    assert same(first, second)
    assert load_checkpoint(net(), read.below("backbone"), strict=True).prefix == ""
    with pytest.raises(CheckpointError, match=r"a\.pth: nothing in the checkpoint fits Linear"):
        load_checkpoint(nn.Linear(9, 9), read)
    with pytest.raises(CheckpointError, match=r"a\.pth: no weight's name starts with 'neck\.'; there are backbone\.0"):
        read.below("neck.")


def test_a_checkpoint_of_another_model_is_refused_with_its_name(tmp_path: Path) -> None:
    torch.save({"cls_head.fc.weight": torch.zeros(2, 2)}, tmp_path / "a.pth")
    with pytest.raises(
        CheckpointError,
        match=r"a\.pth: nothing in the checkpoint fits Sequential: it has cls_head\.fc\.weight; the model",
    ):
        load_checkpoint(net(), tmp_path / "a.pth")


@pytest.mark.parametrize(
    "wrapped", ["module.", "module.module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
def test_names_of_wrapped_models_fit_plain_ones_and_the_other_way_round(wrapped: str) -> None:
    source, target = net(), net()
    state = {f"{wrapped}{name}": tensor for name, tensor in source.state_dict().items()}
    load_checkpoint(target, Checkpoint(state), strict=True)
    assert same(source, target)
    outer = nn.ModuleDict({"module": net()})
    load_checkpoint(outer, Checkpoint(source.state_dict()), strict=True)
    assert same(source, outer)


def test_a_compiled_part_keeps_its_weights_names(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.compile imports what warns of its own age
        source = nn.ModuleDict({"backbone": torch.compile(net()), "cls_head": nn.Linear(2, 2)})
    target = nn.ModuleDict({"backbone": net(), "cls_head": nn.Linear(2, 2)})
    torch.save(source.state_dict(), tmp_path / "a.pth")
    assert load_checkpoint(target, tmp_path / "a.pth", strict=True).is_complete
    assert same(source, target)


def recognizer(num_classes: int = 3, **backbone: object) -> nn.Module:
    settings = {"type": "ResNet3dSlowOnly", "depth": 18, "base_channels": 4, "lateral": False, **backbone}
    head = {"type": "I3DHead", "num_classes": num_classes, "in_channels": 32}
    return MODELS.build({"type": "Recognizer3D", "backbone": settings, "cls_head": head})


def test_a_classifier_for_other_classes_is_left_and_said() -> None:
    source, target = recognizer(7), recognizer(3)
    before = target.cls_head.fc_cls.weight.clone()
    report = load_checkpoint(target, Checkpoint(source.state_dict()))
    assert report.classes == (7, 3)
    assert report.is_complete_but_for_classes
    assert not report.is_complete
    assert str(report).endswith(
        "; the classifier is new, for 3 classes in place of 7, left as initialised: cls_head.fc_cls.weight, "
        "cls_head.fc_cls.bias"
    )
    assert torch.equal(target.cls_head.fc_cls.weight, before)
    assert torch.equal(target.backbone.conv1.conv.weight, source.backbone.conv1.conv.weight)


def test_a_checkpoint_of_which_next_to_nothing_fits_is_refused() -> None:
    other = recognizer().state_dict()
    state = {f"slow_path.{name}": tensor for name, tensor in other.items()}
    state["cls_head.fc_cls.bias"] = other["cls_head.fc_cls.bias"]
    with pytest.raises(
        CheckpointError, match=r"^next to nothing \(1 of \d+ tensors\) in the checkpoint fits Recognizer3D"
    ):
        load_checkpoint(recognizer(), Checkpoint(state), image_network=False)


def test_an_averaged_model_is_loaded_and_training_goes_on_from_the_trained_weights(tmp_path: Path) -> None:
    averaged, trained = net().state_dict(), net().state_dict()
    ema = {
        "steps": torch.tensor(4),
        **{f"module.{name}": tensor for name, tensor in trained.items() if "weight" in name},
    }
    torch.save({"state_dict": averaged, "ema_state_dict": ema, "meta": {"epoch": 2}}, tmp_path / "a.pth")
    read = read_checkpoint(tmp_path / "a.pth")
    assert all(torch.equal(read.state[name], averaged[name]) for name in averaged)
    state = read.training_state()
    assert torch.equal(state["0.weight"], trained["0.weight"])
    assert torch.equal(state["0.bias"], averaged["0.bias"])
    assert read.content["meta"] == {"epoch": 2}
    assert Checkpoint(averaged).training_state() is averaged


def torchvision_names(depth18: nn.Module) -> dict[str, torch.Tensor]:
    """The weights of our ResNet-18 as torchvision writes them, with its classifier."""
    renamed = {}
    for name, tensor in depth18.state_dict().items():
        name = name.replace("downsample.conv", "downsample.0").replace("downsample.bn", "downsample.1")
        renamed[re.sub(r"conv(\d)\.bn", r"bn\1", re.sub(r"conv(\d)\.conv", r"conv\1", name))] = tensor
    return {**renamed, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


@pytest.mark.parametrize(
    "backbone",
    [
        {"type": "ResNet", "depth": 18},
        {"type": "ResNet", "depth": 18, "in_channels": 10},
        {"type": "ResNetTSM", "depth": 18},
        {"type": "ResNet3d", "depth": 18},
        {"type": "ResNet3dSlowOnly", "depth": 18, "lateral": False},
        {"type": "C2D", "depth": 18},
    ],
    ids=lambda one: f"{one['type']}-{one.get('in_channels', 3)}",
)
def test_image_weights_start_every_residual_network(tmp_path: Path, backbone: dict) -> None:
    source = MODELS.build({"type": "ResNet", "depth": 18})
    torch.save(torchvision_names(source), tmp_path / "resnet18.pth")
    target = MODELS.build(backbone)
    report = load_checkpoint(target, tmp_path / "resnet18.pth")
    assert report.is_converted
    assert not report.missing
    assert not report.mismatched
    assert report.unexpected == ("fc.weight", "fc.bias")
    own = {
        name: one for name, one in target.state_dict().items() if "layer4.1.conv2" in name and name.endswith("weight")
    }
    weight = next(one for one in own.values() if one.dim() > 1)
    flat = weight.sum(2) if weight.dim() == 5 else weight
    assert torch.allclose(flat, source.layer4[1].conv2.conv.weight, atol=1e-6)


PATHWAY = {"type": "resnet3d", "depth": 18, "lateral": True, "conv1_kernel": (1, 7, 7), "inflate": (0, 0, 1, 1)}
FAST = {"type": "resnet3d", "depth": 18, "lateral": False, "base_channels": 8, "conv1_kernel": (5, 7, 7)}


def test_image_weights_start_a_pathway_with_lateral_connections(tmp_path: Path) -> None:
    source = MODELS.build({"type": "ResNet", "depth": 18})
    torch.save(torchvision_names(source), tmp_path / "resnet18.pth")
    target = MODELS.build({"type": "ResNet3dSlowFast", "slow_pathway": PATHWAY, "fast_pathway": FAST}).slow_path
    report = load_checkpoint(target, tmp_path / "resnet18.pth")
    # The image network needs no projection in front of its first block, where lateral features widen it here.
    assert {name.rpartition(".")[0].removesuffix(".conv").removesuffix(".bn") for name in report.missing} == {
        *("conv1_lateral", "layer1_lateral", "layer2_lateral", "layer3_lateral"),
        "layer1.0.downsample",
    }
    assert not report.mismatched


SHARED = Path(__file__).parents[2].parent / "shared"


@pytest.mark.skipif(not SHARED.exists(), reason="the file of MMEngine is not here")
def test_a_training_file_of_mmengine_gives_its_scores_from_the_file_alone() -> None:
    read = read_checkpoint(SHARED / "foreign" / "mmengine_epoch_2.pth")
    assert read.inert == ("mmengine.logging.history_buffer.HistoryBuffer",)
    assert read.content["meta"]["epoch"] == 2
    assert not torch.equal(
        read.training_state()["backbone.conv1.conv.weight"], read.state["backbone.conv1.conv.weight"]
    )
    recognizer = kinema.load(SHARED / "foreign" / "mmengine_epoch_2.pth")
    clips = SHARED / "clips" / "labelled" / "gt_ps7_mhi"
    for name, expected in json.loads((SHARED / "foreign" / "scores.json").read_text()).items():
        assert recognizer.scores(clips / name).numpy() == pytest.approx(expected["score"], abs=1e-4)


@pytest.mark.parametrize("prefix", ["model.", "net.", "encoder.", "module.model.", "_forward_module.model.", "a.b.c."])
def test_a_prefix_that_a_trainer_put_before_all_names_is_left_out_and_said(tmp_path: Path, prefix: str) -> None:
    source, target = net(), net()
    state = {prefix + name: value for name, value in source.state_dict().items()}
    torch.save({"state_dict": {**state, "loss.weight": torch.ones(2)}}, tmp_path / "a.ckpt")
    report = load_checkpoint(target, tmp_path / "a.ckpt")
    assert same(source, target)
    assert report.prefix == prefix.removeprefix("module.")
    assert f"loaded 9 of 9 tensors; without the prefix {report.prefix!r} of their names in the checkpoint" in str(
        report
    )
    assert report.unexpected == ("loss.weight",)


def test_a_prefix_is_left_out_of_compiled_and_wrapped_names_too(tmp_path: Path) -> None:
    source, target = net(), net()
    state = {f"model._orig_mod.{name}": value for name, value in source.state_dict().items()}
    assert load_checkpoint(target, Checkpoint(state), strict=True).prefix == "model."
    assert same(source, target)


def test_names_that_fit_as_they_are_keep_their_beginnings() -> None:
    source, target = net(), net()
    state = {**source.state_dict(), **{f"model.{name}": value * 0 for name, value in source.state_dict().items()}}
    report = load_checkpoint(target, Checkpoint(state))
    assert same(source, target)
    assert report.prefix == ""
    assert len(report.unexpected) == 8


@pytest.mark.parametrize("key", ["model_ema", "teacher", "net", "encoder"])
def test_weights_are_found_under_the_keys_of_other_trainers(tmp_path: Path, key: str) -> None:
    torch.save({"epoch": 3, key: net().state_dict(), "optimizer": {}}, tmp_path / "a.pth")
    assert len(read_checkpoint(tmp_path / "a.pth").state) == len(net().state_dict())


# ---- permissions, and what killed saves leave


@pytest.mark.parametrize(
    ("mask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o027, 0o640, 0o750), (0o077, 0o600, 0o700)]
)
def test_what_is_saved_has_the_permissions_of_the_umask(
    tmp_path: Path, mask: int, file_mode: int, folder_mode: int
) -> None:
    before = os.umask(mask)
    try:
        folder = save_pretrained(net(), tmp_path / "new" / "a", config={}, training={"step": 1}, card=True)
    finally:
        os.umask(before)
    modes = {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}
    assert modes == dict.fromkeys(["model.safetensors", "config.json", "training.pt", "README.md"], file_mode)
    assert folder.stat().st_mode & 0o777 == folder_mode


def test_what_killed_saves_left_is_removed_and_what_stepped_aside_returns(tmp_path: Path) -> None:
    for name in (".a.0123abcd.part", ".a.89abcdef.old", ".b.0123abcd.part", ".c.part", "d"):
        save_pretrained(net(), tmp_path / name, config={"name": name})
    (tmp_path / ".text.00000000.part").write_text("x")
    (tmp_path / "x").mkdir()
    assert remove_leftovers(tmp_path, "b", older_than_seconds=1000) == []
    assert remove_leftovers(tmp_path, "b") == [".b.0123abcd.part"]
    assert remove_leftovers(tmp_path) == [".a.0123abcd.part", ".a.89abcdef.old", ".text.00000000.part"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".c.part", "a", "d", "x"]
    assert json.loads((tmp_path / "a" / "config.json").read_text())["name"] == ".a.89abcdef.old"
    save_pretrained(net(), tmp_path / ".a.0123abcd.old", config={})
    assert remove_leftovers(tmp_path) == [".a.0123abcd.old"]
    assert remove_leftovers(tmp_path / "absent") == []


def test_a_save_removes_old_leftovers_of_its_own_name(tmp_path: Path) -> None:
    for name in (".a.0123abcd.part", ".b.0123abcd.part"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".a.ffffffff.part").mkdir()  # of a process that saves now
    save_pretrained(net(), tmp_path / "a", config={})
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".a.ffffffff.part", ".b.0123abcd.part", "a"]


def test_a_model_card_shows_names_as_text() -> None:
    classes = [
        "<script>alert(1)</script>",
        "[a](http://x)",
        "line\nbreak",
        "\x1b[31mred",
        "brush_hair",
        "`code`",
        "# head",
    ]
    config = {
        "classes": classes,
        "model": {"backbone": {"type": "<b>"}},
        "metrics": {"a|b": 1.0},
        "zoo_name": "`x` <i>",
    }
    card = model_card('"); evil("\n# x', config, 10)
    shown = card[card.index("## Classes") :]
    for raw in ("<script>", "](http", "\x1b", "line\nbreak", "<b>", "<i>", "`code`", "\n# head"):
        assert raw not in card.removeprefix("---")
    assert r"brush\_hair" in shown
    assert r"&lt;script&gt;alert\(1\)&lt;/script&gt;" in shown
    assert r"line\\nbreak" in shown
    assert r'kinema.load("\"); evil(\"\\n# x")' in card
    assert r"| a\|b | 1.0000 |" in card
