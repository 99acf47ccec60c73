import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models import MobileNetV2
from kinema.models.backbones import InvertedResidual

IMAGES = torch.rand(2, 3, 32, 32)


@pytest.mark.parametrize(("factor", "millions", "channels"), [(1.0, 2.22, 1280), (1.4, 4.32, 1792), (0.5, 0.69, 1280)])
def test_widths_have_the_parameters_of_the_paper_without_its_classifier(factor, millions, channels) -> None:
    model = MobileNetV2(widen_factor=factor)
    assert sum(one.numel() for one in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)
    assert model(IMAGES).shape == (2, channels, 1, 1)
    assert model.out_channels == channels


def test_a_block_is_its_definition() -> None:
    block = InvertedResidual(4, 4, 1, 6).eval()
    x = torch.randn(1, 4, 5, 5)
    unit = (1 + 1e-5) ** 0.5
    out = (nn.functional.conv2d(x, block.conv[0].conv.weight) / unit).clamp(0, 6)
    out = (nn.functional.conv2d(out, block.conv[1].conv.weight, padding=1, groups=24) / unit).clamp(0, 6)
    out = nn.functional.conv2d(out, block.conv[2].conv.weight) / unit
    torch.testing.assert_close(block(x), x + out)
    assert InvertedResidual(4, 6, 2, 1)(x).shape == (1, 6, 3, 3)


def test_chosen_outputs_frozen_stages_and_recomputation() -> None:
    model = MobileNetV2(out_indices=(0, 6), frozen_stages=2, norm_eval=True, with_cp=True).train()
    first, last = model(IMAGES)
    assert (first.shape, last.shape) == ((2, 16, 16, 16), (2, 320, 1, 1))
    assert model.out_channels == (16, 320)
    last.sum().backward()
    trained = {name.split(".")[0] for name, one in model.named_parameters() if one.grad is not None}
    assert trained == {"layer3", "layer4", "layer5", "layer6", "layer7"}
    assert not any(one.training for one in model.modules() if isinstance(one, nn.BatchNorm2d))


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"out_indices of MobileNetV2 must be from 0 to 7, got \(8,\)"):
        MobileNetV2(out_indices=(8,))
    with pytest.raises(ConfigError, match="frozen_stages of MobileNetV2 must be from -1 to 8, got 9"):
        MobileNetV2(frozen_stages=9)
    with pytest.raises(ConfigError, match="stride of an inverted residual block must be 1 or 2, got 3"):
        InvertedResidual(4, 4, 3, 1)
