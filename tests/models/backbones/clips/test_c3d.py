from pathlib import Path

import pytest
import torch

from kinema.errors import ConfigError
from kinema.models.backbones import C3D


def test_a_clip_becomes_4096_values() -> None:
    with torch.device("meta"):  # shapes alone: its linear layers are large
        network = C3D(out_dim=2048, norm_cfg={"type": "BN3d"}).eval()
        assert network(torch.zeros(1, 3, 16, 48, 48)).shape == (1, 4096)
    assert network.conv1a.conv.bias is None


def test_clips_of_another_size_say_what_to_set() -> None:
    message = r"16 frames of 32 x 32 pixels gives 2048 values, .* out_dim=8192: set clip_len"
    with torch.device("meta"):
        network = C3D(out_dim=8192).eval()
        with pytest.raises(ConfigError, match=message):
            network(torch.zeros(1, 3, 16, 32, 32))


@pytest.mark.slow
def test_pretrained_weights_load(tmp_path: Path) -> None:
    first = C3D(out_dim=512)
    torch.save(
        {"state_dict": {f"backbone.{name}": one for name, one in first.state_dict().items()}}, tmp_path / "c3d.pth"
    )
    second = C3D(str(tmp_path / "c3d.pth"), out_dim=512)
    second.init_weights()
    assert torch.equal(first.fc7.weight, second.fc7.weight)
