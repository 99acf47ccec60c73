import inspect
from typing import Any

import pytest
import torch

from kinema.errors import ConfigError, PartArgumentError
from kinema.models.backbones import ResNet3dPathway, ResNet3dSlowFast, ResNet3dSlowOnly
from kinema.models.backbones.clips.slowfast import FAST_PATHWAY, SLOW_PATHWAY
from kinema.registry import MODELS


def small(slow: dict[str, Any] | None = None, fast: dict[str, Any] | None = None, **settings: Any) -> ResNet3dSlowFast:
    """SlowFast of depth 18 with 16 slow channels, 4 times fewer fast ones and twice as many fast frames."""
    ratios = {"resample_rate": 4, "speed_ratio": 2, "channel_ratio": 4, **settings}
    return ResNet3dSlowFast(
        slow_pathway={**SLOW_PATHWAY, "depth": 18, "base_channels": 16, **(slow or {})},
        fast_pathway={**FAST_PATHWAY, "depth": 18, "base_channels": 4, **(fast or {})},
        **ratios,
    ).eval()


def clips(frames: int = 8, channels: int = 3) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(1, channels, frames, 32, 32)


def test_slow_only_keeps_every_frame_and_convolves_time_late() -> None:
    network = ResNet3dSlowOnly(depth=50, base_channels=8).eval()
    assert network(clips(3)).shape == (1, 256, 3, 1, 1)
    assert network.layer2[0].conv1.conv.kernel_size == (1, 1, 1)
    assert network.layer3[0].conv1.conv.kernel_size == (3, 1, 1)


def test_the_pathways_see_their_share_of_the_frames() -> None:
    network = small()
    slow, fast = network(clips(16))
    assert (slow.shape, fast.shape) == ((1, 128, 4, 1, 1), (1, 32, 8, 1, 1))
    assert network.out_channels == (128, 32)
    unseen = clips(16)
    unseen[:, :, 1::2] = 9
    assert torch.equal(network(unseen)[0], slow)


def test_the_slow_pathway_hears_the_fast_one_through_its_connections_only() -> None:
    x, changed = clips(8), clips(8)
    changed[:, :, 2::4] = 9  # frames that only the fast pathway sees
    assert not torch.equal(small()(x)[0], small()(changed)[0])
    deaf = small(slow={"lateral": False})
    assert torch.equal(deaf(x)[0], deaf(changed)[0])


def test_connections_can_be_chosen_widened_and_normalised() -> None:
    network = small(
        slow={"lateral_activate": (0, 0, 1, 1), "lateral_infl": 3, "lateral_norm": True, "fusion_kernel": 7}
    )
    names = [name for name, _ in network.slow_path.named_children() if name.endswith("lateral")]
    assert names == ["layer2_lateral", "layer3_lateral"]
    connection = network.slow_path.layer2_lateral
    assert connection.conv.weight.shape == (8 * 3, 8, 7, 1, 1)
    assert connection.with_norm
    assert network.slow_path.layer3[0].conv1.conv.in_channels == 32 + 8 * 3
    assert network(clips())[0].shape == (1, 128, 2, 1, 1)


def test_pathways_pool_after_the_stem_whatever_their_settings_say() -> None:
    plain, other = small(), small(slow={"with_pool1": False, "with_pool2": True}, fast={"with_pool1": False})
    other.load_state_dict(plain.state_dict())
    for one, same in zip(plain.eval()(clips()), other.eval()(clips()), strict=True):
        torch.testing.assert_close(one, same)


def test_pathways_take_the_options_of_connections_that_they_do_not_have() -> None:
    network = small(fast={"lateral_inv": True, "lateral_norm": True, "lateral_activate": (0, 1, 0, 1)})
    assert list(network.state_dict()) == list(small().state_dict())


def test_depths_may_differ_where_the_blocks_agree() -> None:
    network = small(slow={"depth": 34}, fast={"in_channels": 3})
    assert len(network.slow_path.layer3) == 6
    assert len(network.fast_path.layer3) == 2


def test_frozen_stages_take_their_connections_with_them() -> None:
    network = small(slow={"frozen_stages": 1})
    frozen = {name.split(".")[0] for name, one in network.slow_path.named_parameters() if not one.requires_grad}
    assert frozen == {"conv1", "layer1", "layer1_lateral"}


def test_pretrained_weights_of_the_whole_network_load(tmp_path: Any) -> None:
    file = tmp_path / "slowfast.pth"
    first = small()
    torch.save({"state_dict": {f"backbone.{name}": one for name, one in first.state_dict().items()}}, file)
    second = small(pretrained=str(file))
    second.init_weights()
    assert torch.equal(second(clips())[1], first(clips())[1])


def test_wrong_configs_say_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"resample_rate=4 .* must be a multiple of speed_ratio=3"):
        small(speed_ratio=3)
    with pytest.raises(ConfigError, match=r"equally many stages, got 4 slow and 3 fast ones"):
        small(fast={"num_stages": 3, "out_indices": (2,)})
    with pytest.raises(
        ConfigError, match=r"the fast pathway gives 8 channels to stage 1 of the slow one, .* expects 4"
    ):
        small(fast={"base_channels": 8})
    with pytest.raises(ConfigError, match=r"slow_pathway of ResNet3dSlowFast must be of type 'resnet3d', got ResNet3d"):
        ResNet3dSlowFast(slow_pathway={"type": "ResNet3d", "depth": 18})
    with pytest.raises(ConfigError, match=r"lateral_activate=\(1, 1\) of ResNet3dPathway has 2 entries for 4 stages"):
        small(slow={"lateral_activate": (1, 1)})
    with pytest.raises(
        ConfigError, match=r"fast_pathway .* has lateral=True, but receives no features: only slow_pathway"
    ):
        small(fast={"lateral": True})
    with pytest.raises(
        ConfigError, match=r"ResNet3dPathway can receive .* a faster pathway only: set lateral_inv=False"
    ):
        small(slow={"lateral_inv": True})
    with pytest.raises(ConfigError, match=r"ResNet3dSlowOnly has no second pathway .* set lateral=False"):
        ResNet3dSlowOnly(depth=18, lateral=True)
    with pytest.raises(ConfigError, match=r"the clips have 9 frames, .* set clip_len to a multiple of 4"):
        small()(clips(9))


def test_the_registry_knows_every_keyword_of_the_derived_networks() -> None:
    assert {"lateral", "depth", "with_pool2", "fusion_kernel"} <= set(inspect.signature(ResNet3dSlowOnly).parameters)
    with pytest.raises(PartArgumentError, match=r"ResNet3dSlowOnly has no keyword 'dept' \(did you mean depth\?\)"):
        MODELS.build({"type": "ResNet3dSlowOnly", "dept": 18})
    with pytest.raises(TypeError, match="unexpected keyword argument 'dept'"):
        ResNet3dPathway(dept=18)
