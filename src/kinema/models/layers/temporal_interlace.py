"""Temporal interlacing: groups of channels move in time by distances that the network learns.

Source: TIN, Shao et al. 2020, arXiv:2001.06499, section 3.
"""

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.base import BaseModule

_GROUPS = 2  # with a learnt distance; as many move by its negative


class WeightNet(BaseModule):
    """(B, C, T) -> (B, T, groups) factors in (0, 2) of each group's frames; 1 at first.

    Args:
        in_channels: C.
        groups: number of groups.
    """

    def __init__(self, in_channels: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, groups, 3, padding=1)

    def init_weights(self) -> None:
        """Set the bias to 0."""
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.conv(x).transpose(1, 2).sigmoid()


class OffsetNet(BaseModule):
    """(B, C, T) -> (B, groups) distances in (-2, 2) frames; about half a frame at first.

    Args:
        in_channels: C.
        groups: number of groups.
        num_segments: T.
    """

    def __init__(self, in_channels: int, groups: int, num_segments: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, 1, 3, padding=1)
        self.fc1 = nn.Linear(num_segments, num_segments)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(num_segments, groups)

    def init_weights(self) -> None:
        """Set the biases such that the distance is 4 (sigmoid(0.5108) - 1/2) = 1/2."""
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        nn.init.constant_(self.fc2.bias, 0.5108)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.fc1(self.conv(x).flatten(1)))
        return 4 * (self.fc2(x).sigmoid() - 0.5)


class TemporalInterlace(nn.Module):
    """(B * T, C, H, W) -> the same, its first C / `shift_div` channels moved in time.

    They are four groups of equal size: two move by learnt distances, two by the negative ones,
    between frames by linear interpolation; what comes from outside the clip is 0. Then each group's
    frames are multiplied by learnt factors.

    Args:
        in_channels: C.
        num_segments: T.
        shift_div: one channel in `shift_div` moves.

    Raises:
        ConfigError: the channels that move are not four groups of equal size, or (when called) T
            does not divide the frames.
    """

    def __init__(self, in_channels: int, num_segments: int = 3, shift_div: int = 1) -> None:
        super().__init__()
        self.num_segments = num_segments
        self.shift_div = shift_div
        self.num_folds = in_channels // shift_div
        if self.num_folds < 1 or self.num_folds % (2 * _GROUPS):
            raise ConfigError(
                f"temporal interlacing moves in_channels // shift_div = {in_channels} // {shift_div} channels, which"
                f" must be a multiple of {2 * _GROUPS}: change shift_div"
            )
        self.deform_groups = _GROUPS
        self.offset_net = OffsetNet(self.num_folds, _GROUPS, num_segments)
        self.weight_net = WeightNet(self.num_folds, _GROUPS)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) % self.num_segments:
            raise ConfigError(
                f"num_segments={self.num_segments} of the backbone does not divide the {len(x)} frames of the batch:"
                " sample a multiple of them, or change num_segments"
            )
        clips = x[:, : self.num_folds].unflatten(0, (-1, self.num_segments))  # (B, T, F, H, W)
        pooled = clips.mean((3, 4)).transpose(1, 2)  # (B, F, T)
        distance = self.offset_net(pooled)  # (B, 2)
        factor = self.weight_net(pooled)  # (B, T, 2)
        moved = move_in_time(clips, torch.cat([distance, -distance], 1), torch.cat([factor, factor], 2))
        return torch.cat([moved.flatten(0, 1), x[:, self.num_folds :]], 1)


def move_in_time(clips: Tensor, distance: Tensor, factor: Tensor) -> Tensor:
    """Move groups of channels in time.

    Args:
        clips: (B, T, C, H, W).
        distance: (B, G), in frames; positive ones move to later frames. G divides C.
        factor: (B, T, G), by which the result is multiplied.

    Returns:
        (B, T, C, H, W): at frame t, the input at t - distance, interpolated between two frames, 0
        outside.
    """
    batch, frames, channels = clips.shape[:3]
    groups = distance.shape[1]
    parts = clips.unflatten(2, (groups, channels // groups))  # (B, T, G, C / G, H, W)
    whole = distance.detach().floor()
    share = distance - whole  # of the frame before
    time = torch.arange(frames, device=clips.device)[None, :, None] - whole.long()[:, None]  # (B, T, G)
    rows = torch.arange(batch, device=clips.device)[:, None, None]
    columns = torch.arange(groups, device=clips.device)[None, None]

    def taken(source: Tensor, weight: Tensor) -> Tensor:
        inside = (source >= 0) & (source < frames)
        scale = factor * weight[:, None] * inside
        return parts[rows, source.clamp(0, frames - 1), columns] * scale[..., None, None, None]

    return (taken(time, 1 - share) + taken(time - 1, share)).flatten(2, 3)
