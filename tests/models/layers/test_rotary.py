"""Rotary positions against complex numbers and against loops."""

import numpy as np
import pytest
import torch

from kinema.errors import ConfigError
from kinema.models.layers.rotary import check_frequencies, grid_places, rotation, turn, turning_channels


def by_loops(x: np.ndarray, places: np.ndarray, *, is_tiled: bool) -> np.ndarray:
    """(N, D) queries turned channel by channel, as the authors' text says."""
    head_width = x.shape[1]
    channels = 2 * (head_width // 3 // 2)
    out = x.copy()
    for token, place in enumerate(places):
        for axis in range(3):
            for channel in range(channels):
                at = axis * channels + channel
                frequency = channel % (channels // 2) if is_tiled else channel // 2
                angle = place[axis] * 10000 ** (-frequency / (channels / 2))
                partner = -x[token, at + 1] if channel % 2 == 0 else x[token, at - 1]
                out[token, at] = x[token, at] * np.cos(angle) + partner * np.sin(angle)
    return out


@pytest.mark.parametrize("frequencies", ["tiled", "interleaved"])
@pytest.mark.parametrize("head_width", [6, 16, 23, 80])
def test_channels_turn_by_frame_row_and_column(head_width: int, frequencies: str) -> None:
    places = grid_places(2, 3, 2)
    x = torch.randn(1, len(places), 1, head_width, generator=torch.Generator().manual_seed(0))
    turned = turn(x, rotation(places, head_width, frequencies))
    expected = by_loops(x[0, :, 0].double().numpy(), places.numpy(), is_tiled=frequencies == "tiled")
    assert torch.allclose(turned[0, :, 0].double(), torch.from_numpy(expected), atol=1e-5)


def test_interleaved_frequencies_turn_pairs_like_complex_numbers() -> None:
    x = torch.randn(1, 12, 1, 18, generator=torch.Generator().manual_seed(0))
    turned = turn(x, rotation(grid_places(3, 2, 2), 18))
    pairs, before = (torch.view_as_complex(t.unflatten(-1, (-1, 2)).contiguous()) for t in (turned, x))
    assert torch.allclose(pairs.abs(), before.abs(), atol=1e-6)
    # The first pair of each axis turns by the place itself.
    angles = (pairs / before).angle()[0, :, 0, [0, 3, 6]]
    assert torch.allclose(angles, grid_places(3, 2, 2), atol=1e-5)


def test_heads_leave_channels_that_do_not_come_in_three_times_two_alone() -> None:
    assert [turning_channels(width) for width in (6, 64, 80, 88)] == [2, 20, 26, 28]
    x = torch.randn(1, 8, 1, 80)
    turned = turn(x, rotation(grid_places(2, 2, 2), 80))
    assert torch.equal(turned[..., 78:], x[..., 78:])
    assert not torch.allclose(turned[0, 7, 0, 76:78], x[0, 7, 0, 76:78], atol=1e-9)


def test_places_count_frames_rows_and_columns_or_stretch_over_another_grid() -> None:
    places = grid_places(2, 2, 3)
    assert places[[0, 1, 3, 6]].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert grid_places(1, 24, 16, rescaled_to=16).amax(0).tolist() == [0, 15, 15]
    assert grid_places(4, 6, 10, rescaled_to=16)[-1].tolist() == [3, 15, 15]
    # Where the grid is that one already, nothing changes.
    assert torch.equal(grid_places(1, 16, 16, rescaled_to=16), grid_places(1, 16, 16))


def test_grids_and_heads_that_cannot_turn_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"the clips are 1 x 4 patches .* give frames of at least 2 x 2 patches"):
        grid_places(2, 1, 4, rescaled_to=16)
    with pytest.raises(ConfigError, match="a head of 5 channels is too narrow for rotary positions in 3 axes"):
        turning_channels(5)
    with pytest.raises(ConfigError, match="rotary must be one of tiled, interleaved, got 'half'"):
        check_frequencies("half")
