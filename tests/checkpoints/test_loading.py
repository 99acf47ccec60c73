import json
import re
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

import kinema
from kinema.checkpoints import Checkpoint, LoadReport, load_checkpoint, read_checkpoint
from kinema.errors import CheckpointError
from kinema.registry import MODELS


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4), nn.Linear(4, 2))


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(left, right) for left, right in pairs)


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


@pytest.mark.slow
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
    # The image network needs no projection in front of its first block, where lateral features
    # widen it here.
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


# ---- permissions, and what killed saves leave
