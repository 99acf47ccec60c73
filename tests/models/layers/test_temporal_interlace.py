import math

import pytest
import torch

from kinema.errors import ConfigError
from kinema.models.layers import TemporalInterlace
from kinema.models.layers.temporal_interlace import move_in_time


def slow_move(clips: torch.Tensor, distance: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Channel by channel: every frame is written where it goes, in the shares of its two places."""
    batch, frames, channels = clips.shape[:3]
    groups = distance.shape[1]
    out = torch.zeros_like(clips)
    for clip in range(batch):
        for channel in range(channels):
            group = channel // (channels // groups)
            whole = math.floor(distance[clip, group])
            for time in range(frames):
                for step, share in (
                    (whole, 1 + whole - distance[clip, group]),
                    (whole + 1, distance[clip, group] - whole),
                ):
                    if 0 <= time + step < frames:
                        out[clip, time + step, channel] += share * clips[clip, time, channel]
            out[clip, :, channel] *= factor[clip, :, group, None, None]
    return out


def test_groups_of_channels_move_by_parts_of_frames() -> None:
    clips = torch.randn(2, 5, 8, 2, 3, dtype=torch.float64)
    distance = torch.tensor([[0.0, 0.5, -1.25, 3.0], [1.0, -0.5, 1.9, -7.0]], dtype=torch.float64)
    factor = torch.rand(2, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(move_in_time(clips, distance, factor), slow_move(clips, distance, factor))


def test_gradients_reach_the_distances_the_factors_and_the_frames() -> None:
    clips = torch.randn(1, 3, 4, 1, 2, dtype=torch.float64, requires_grad=True)
    distance = torch.tensor([[0.3, -0.3, 1.4, -1.4]], dtype=torch.float64, requires_grad=True)
    factor = torch.rand(1, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(move_in_time, (clips, distance, factor))


@torch.no_grad()
def test_the_layer_moves_its_first_channels_by_what_its_nets_say() -> None:
    layer = TemporalInterlace(16, num_segments=4, shift_div=2).double()
    x = torch.randn(8, 16, 2, 3, dtype=torch.float64)
    clips = x[:, :8].unflatten(0, (2, 4))
    pooled = clips.mean((3, 4)).transpose(1, 2)
    distance, factor = layer.offset_net(pooled), layer.weight_net(pooled)
    moved = slow_move(clips, torch.cat([distance, -distance], 1), torch.cat([factor, factor], 2))
    torch.testing.assert_close(layer(x), torch.cat([moved.flatten(0, 1), x[:, 8:]], 1))


def test_nets_stay_in_their_ranges_and_start_at_half_a_frame_and_at_one() -> None:
    layer = TemporalInterlace(8, num_segments=4, shift_div=1)
    x = 100 * torch.randn(3, 8, 4)
    assert layer.offset_net(x).abs().max() <= 2
    assert 0 <= layer.weight_net(x).min() <= layer.weight_net(x).max() <= 2
    layer.offset_net.init_weights()
    layer.weight_net.init_weights()
    with torch.no_grad():
        layer.offset_net.fc2.weight.zero_()
        layer.weight_net.conv.weight.zero_()
    torch.testing.assert_close(layer.offset_net(x), torch.full((3, 2), 0.5), atol=1e-4, rtol=0)
    assert layer.weight_net(x).unique().tolist() == [1]


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"in_channels // shift_div = 64 // 7 channels, which must be a multiple of 4"
    ):
        TemporalInterlace(64, 8, 7)
    with pytest.raises(ConfigError, match="num_segments=4 of the backbone does not divide the 6 frames of the batch"):
        TemporalInterlace(8, 4)(torch.rand(6, 8, 1, 1))
