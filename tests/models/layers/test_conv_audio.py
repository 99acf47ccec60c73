import pytest
import torch

from kinema.errors import ConfigError
from kinema.models.layers import ConvAudio


@pytest.mark.parametrize(("op", "channels", "total"), [("concat", 8, 24.875639), ("sum", 4, 24.875639)])
def test_it_has_the_originals_values_and_names(op: str, channels: int, total: float) -> None:
    layer = ConvAudio(3, 4, (3, 5), op).eval()
    state = layer.state_dict()
    assert {"conv_1.conv.weight", "conv_1.bn.running_var", "conv_2.bn.bias"} <= set(state)
    for number, (name, values) in enumerate(sorted(state.items())):
        if values.is_floating_point():
            places = torch.arange(values.numel(), dtype=torch.float32)
            values.copy_((torch.sin(places * 0.37 + number) * 0.05 + ("running_var" in name)).view(values.shape))
    with torch.no_grad():
        result = layer(torch.cos(torch.arange(2 * 3 * 8 * 9) * 0.011).view(2, 3, 8, 9))
    assert result.shape == (2, channels, 8, 9)
    assert result.double().sum().item() == pytest.approx(total, rel=1e-6)


def test_what_it_cannot_do_is_said() -> None:
    with pytest.raises(ConfigError, match="op must be 'concat' or 'sum', got 'mean'"):
        ConvAudio(3, 4, 3, "mean")
    with pytest.raises(ConfigError, match="padding=1 is not supported: it follows from kernel_size"):
        ConvAudio(3, 4, 3, padding=1)
