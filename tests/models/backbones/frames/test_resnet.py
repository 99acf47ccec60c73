import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kinema.errors import CheckpointError, ConfigError
from kinema.models import MobileNetV2, ResNet, ResNetTIN, ResNetTSM
from kinema.models.backbones import Bottleneck

IMAGES = torch.rand(2, 3, 64, 64)


@pytest.mark.parametrize(
    ("depth", "millions", "channels"),
    [(18, 11.18, 512), (34, 21.28, 512), (50, 23.51, 2048), (101, 42.50, 2048), (152, 58.14, 2048)],
)
def test_depths_have_the_parameters_of_the_paper_without_its_classifier(depth, millions, channels) -> None:
    with torch.device("meta"):
        model = ResNet(depth)
    assert sum(one.numel() for one in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)
    assert model.out_channels == model.feat_dim == channels


def test_a_bottleneck_is_its_definition() -> None:
    block = Bottleneck(8, 2, stride=1).eval()
    x = torch.randn(1, 8, 5, 5)
    out = x
    for index, (conv, padding) in enumerate(((block.conv1, 0), (block.conv2, 1), (block.conv3, 0))):
        out = nn.functional.conv2d(out, conv.conv.weight, padding=padding) / (1 + 1e-5) ** 0.5
        out = out.clamp(min=0) if index < 2 else out
    torch.testing.assert_close(block(x), (x + out).clamp(min=0))


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.usefixtures("on_meta_device")
def test_outputs_of_chosen_stages_have_their_sizes(depth) -> None:
    model = ResNet(depth, in_channels=10, out_indices=(0, 2, 3))
    levels = model(torch.rand(1, 10, 64, 64))
    wide = 4 if depth == 50 else 1
    assert [tuple(level.shape[1:]) for level in levels] == [
        (64 * wide, 16, 16),
        (256 * wide, 4, 4),
        (512 * wide, 2, 2),
    ]
    short = ResNet(depth, num_stages=2, out_indices=(1,))
    assert short(torch.rand(2, 3, 64, 64)).shape == (2, 128 * wide, 8, 8)
    assert short.out_channels == 128 * wide
    assert ResNet(18, out_indices=(3, 1)).out_channels == (128, 512)


@pytest.mark.usefixtures("on_meta_device")
def test_dilation_keeps_the_size_and_style_moves_the_stride() -> None:
    model = ResNet(50, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), style="caffe")
    assert model(torch.rand(2, 3, 64, 64)).shape == (2, 2048, 8, 8)
    assert model.layer2[0].conv1.conv.stride == (2, 2)
    assert ResNet(50).layer2[0].conv2.conv.stride == (2, 2)


def test_frozen_stages_are_not_trained() -> None:
    model = ResNet(18, frozen_stages=2).train()
    trained = {name.split(".")[0] for name, one in model.named_parameters() if one.requires_grad}
    assert trained == {"layer3", "layer4"}
    assert not model.conv1.bn.training
    assert not model.layer2[1].conv2.bn.training
    assert model.layer3[0].conv1.bn.training


def test_norm_eval_keeps_statistics_and_trains_weights() -> None:
    model = ResNet(18, norm_eval=True).train()
    model(IMAGES)
    assert model.layer1[0].conv1.bn.running_mean.abs().sum() == 0
    assert model.layer1[0].conv1.bn.weight.requires_grad


def test_partial_bn_trains_the_first_norm_only() -> None:
    model = ResNet(18, partial_bn=True).train()
    norms = [one for one in model.modules() if isinstance(one, nn.BatchNorm2d)]
    assert [one.training for one in norms] == [True] + [False] * (len(norms) - 1)
    assert [one.weight.requires_grad for one in norms] == [True] + [False] * (len(norms) - 1)
    assert model.layer1[0].conv1.conv.weight.requires_grad


@pytest.mark.parametrize("depth", [18, 50])
def test_recomputing_blocks_changes_no_gradient(depth) -> None:
    stages = {"num_stages": 2, "out_indices": (1,), "norm_eval": True}
    plain, saving = ResNet(depth, **stages), ResNet(depth, with_cp=True, **stages)
    saving.load_state_dict(plain.state_dict())
    for model in (plain, saving):
        model.train()(IMAGES).square().mean().backward()
    for one, other in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_weights_are_initialised_by_kaiming_or_as_asked() -> None:
    model = ResNet(18)
    model.init_weights()
    assert model.layer1[0].conv1.conv.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    other = ResNet(18, init_cfg={"type": "Constant", "layer": "Conv2d", "val": 3})
    other.init_weights()
    assert other.conv1.conv.weight.unique().tolist() == [3]


def test_the_activation_of_configs_is_inside_of_blocks_and_relu_behind_them() -> None:
    model = ResNet(50, num_stages=1, out_indices=(0,), act_cfg={"type": "LeakyReLU", "negative_slope": 0.3})
    block = model.layer1[0].eval()
    assert isinstance(model.conv1.activate, nn.LeakyReLU)
    x = torch.randn(1, 64, 3, 3)
    inner = F.leaky_relu(block.conv1.bn(block.conv1.conv(x)), 0.3)
    inner = block.conv3(F.leaky_relu(block.conv2.bn(block.conv2.conv(inner)), 0.3))
    torch.testing.assert_close(block(x), torch.relu(inner + block.downsample(x)))


def torchvision_names(state: dict) -> dict:
    """Names of our layers -> those of torchvision's."""
    renamed = {}
    for name, one in state.items():
        name = name.replace("downsample.conv.", "downsample.0.").replace("downsample.bn.", "downsample.1.")
        name = re.sub(r"conv(\d)\.bn\.", r"bn\1.", re.sub(r"conv(\d)\.conv\.", r"conv\1.", name))
        renamed[name] = one
    return {**renamed, "fc.weight": torch.rand(1000, 512)}


@pytest.mark.parametrize("names", ["torchvision", "own", "recognizer"])
@pytest.mark.parametrize("kind", [ResNet, ResNetTSM, ResNetTIN])
def test_weights_of_an_image_network_are_loaded_under_any_names(kind, names, tmp_path) -> None:
    torch.manual_seed(0)
    source = ResNet(18, num_stages=2, out_indices=(1,)).state_dict()
    state = {"own": source, "recognizer": {f"backbone.{name}": one for name, one in source.items()}}
    torch.save(state.get(names, torchvision_names(source)), tmp_path / "weights.pth")
    model = kind(18, pretrained=str(tmp_path / "weights.pth"), num_stages=2, out_indices=(1,))
    model.init_weights()
    found = {
        ".".join(part for part in name.split(".") if part not in ("net", "net2")): one
        for name, one in model.state_dict().items()
    }
    assert all(torch.equal(found[name], one) for name, one in source.items())


def test_a_first_layer_for_flow_takes_the_mean_of_the_colours(tmp_path) -> None:
    source = ResNet(18, num_stages=1, out_indices=(0,)).state_dict()
    torch.save(torchvision_names(source), tmp_path / "weights.pth")
    model = ResNet(18, str(tmp_path / "weights.pth"), in_channels=10, num_stages=1, out_indices=(0,))
    model.init_weights()
    colours = source["conv1.conv.weight"]
    expected = (colours.mean(1, keepdim=True) * 3 / 10).expand(-1, 10, -1, -1)
    torch.testing.assert_close(model.conv1.conv.weight.data, expected)


def test_a_checkpoint_of_something_else_is_refused(tmp_path) -> None:
    torch.save({"weight": torch.rand(2)}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match=r"weights\.pth: "):
        ResNet(18, str(tmp_path / "weights.pth"), num_stages=1, out_indices=(0,)).init_weights()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 20}, "ResNet has no depth 20: there are 18, 34, 50, 101, 152"),
        ({"depth": 18, "num_stages": 5}, "num_stages of ResNet must be 1 to 4, got 5"),
        ({"depth": 18, "out_indices": (4,)}, r"out_indices of ResNet must name stages from 0 to 3, got \(4,\)"),
        ({"depth": 18, "strides": (1, 2)}, r"strides of ResNet has 2 values for 4 stages: \(1, 2\)"),
        ({"depth": 18, "style": "tf"}, "style of a ResNet must be 'pytorch' or 'caffe', got 'tf'"),
    ],
)
def test_what_does_not_exist_is_refused(arguments, message) -> None:
    with pytest.raises(ConfigError, match=message):
        ResNet(**arguments)


def test_frames_of_other_channels_or_shapes_are_refused() -> None:
    with pytest.raises(ConfigError, match="the frames have 3 channels, but ResNet was built with in_channels=10: set"):
        ResNet(18, in_channels=10)(IMAGES)
    with pytest.raises(
        ValueError,
        match=(
            r"ResNet takes frames of shape \(batch, channels, height, width\), got \(3, 64, 64\): .* Recognizer2D,"
            r" .*'NCHW'"
        ),
    ):
        ResNet(18)(IMAGES[0])
    with pytest.raises(ConfigError, match="the frames have 2 channels, but MobileNetV2 was built with in_channels=3"):
        MobileNetV2()(IMAGES[:, :2])
