"""What holds for all backbones: what code written for OpenMMLab relies on, and what training leaves alone."""

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kinema.models import backbones
from kinema.models.backbones import ResNet, ResNet3d, ResNet3dCSN, ResNetTIN, ResNetTSM
from kinema.registry import MODELS

SMALL_FRAMES = {"depth": 18, "num_stages": 1, "out_indices": (0,)}


@pytest.mark.parametrize(
    ("network", "base"),
    [
        ("C2D", "ResNet"),
        ("ResNetTSM", "ResNet"),
        ("ResNetTIN", "ResNet"),
        ("ResNetTIN", "ResNetTSM"),
        ("TANet", "ResNet"),
        ("MobileNetV2TSM", "MobileNetV2"),
        ("ResNet2Plus1d", "ResNet3d"),
        ("ResNet3dCSN", "ResNet3d"),
        ("ResNet3dPathway", "ResNet3d"),
        ("ResNet3dSlowOnly", "ResNet3d"),
        ("ResNet3dSlowOnly", "ResNet3dPathway"),
    ],
)
def test_networks_count_as_those_that_openmmlab_derives_them_from(network: str, base: str) -> None:
    assert issubclass(getattr(backbones, network), getattr(backbones, base))
    assert not issubclass(getattr(backbones, base), getattr(backbones, network))


def test_an_instance_counts_as_one_of_the_original_base() -> None:
    assert isinstance(ResNetTIN(**SMALL_FRAMES), ResNet)
    assert not isinstance(ResNet(**SMALL_FRAMES), ResNetTSM)


class Doubled(ResNet):
    """Written as for OpenMMLab: passes keywords on, sets attributes afterwards, overrides `forward` and `train`."""

    def __init__(self, factor: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.conv1(x))
        for name in self.res_layers:
            x = getattr(self, name)(x)
        return self.factor * x

    def train(self, mode: bool = True) -> "Doubled":
        super().train(mode)
        self.calls = getattr(self, "calls", 0) + self.factor
        return self


def test_a_subclass_may_override_what_it_likes() -> None:
    model = Doubled(3, **SMALL_FRAMES, frozen_stages=0)
    torch.manual_seed(0)
    x = torch.randn(1, 3, 32, 32)
    plain = ResNet(**SMALL_FRAMES)
    plain.load_state_dict(model.state_dict())
    assert torch.allclose(model.eval()(x), 3 * plain.eval()(x), atol=1e-4)
    assert model.calls == 3
    assert not model.conv1.conv.weight.requires_grad


class Watched(ResNet3dCSN):
    """Its `train` reads what its constructor sets last."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.modes: list[bool] = []

    def train(self, mode: bool = True) -> "Watched":
        super().train(mode)
        self.modes.append(mode)
        return self


def test_a_constructor_calls_no_train_of_a_subclass() -> None:
    model = Watched(depth=50, base_channels=4, norm_eval=True, bn_frozen=True).eval()
    assert model.modes == [False]
    assert not any(part.weight.requires_grad for part in model.modules() if isinstance(part, nn.BatchNorm3d))


def test_a_subclass_may_add_a_depth() -> None:
    class Shallow(ResNet3d):
        arch_settings = {**ResNet3d.arch_settings, 10: (ResNet3d.arch_settings[18][0], (1, 1, 1, 1))}

    assert Shallow(10, base_channels=4).stage_blocks == (1, 1, 1, 1)


@pytest.mark.parametrize("name", ["ResNet", "ResNetTSM", "MobileNetV2"])
def test_norm_eval_holds_from_the_start(name: str) -> None:
    settings = {} if name == "MobileNetV2" else SMALL_FRAMES
    model = MODELS.build({"type": name, "norm_eval": True, **settings})
    assert model.training
    assert not any(part.training for part in model.modules() if isinstance(part, nn.BatchNorm2d))


@pytest.mark.parametrize("name", ["ResNet", "ResNetTSM", "ResNetTIN"])
def test_networks_are_copied_and_pickled(name: str) -> None:
    model = getattr(backbones, name)(**SMALL_FRAMES)
    for same in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert list(same.state_dict()) == list(model.state_dict())
        assert same.out_channels == 64


@pytest.mark.parametrize("config", [{"type": "CompactNet3D"}, {"type": "ResNet3dSlowOnly", "depth": 18}])
def test_features_have_their_channels_last_on_a_cpu(config: dict) -> None:
    out = MODELS.build(config)(torch.randn(2, 3, 4, 64, 64))
    assert out.is_contiguous(memory_format=torch.channels_last_3d)
    assert not out.is_contiguous()


def test_inputs_of_no_layout_reach_the_networks_own_checks() -> None:
    network = MODELS.build({"type": "ResNet", "depth": 18})
    with pytest.raises(ValueError, match=r"ResNet takes frames of shape .*, got \(3, 8, 8\)"):
        network(torch.randn(3, 8, 8))
