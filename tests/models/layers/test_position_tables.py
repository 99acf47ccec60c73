"""Tables of positions: stretched and shrunk to other grids."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from kinema.models.layers.positions import resize_positions


def by_torch(table: Tensor, old: tuple, new: tuple, space: str, antialias: bool) -> Tensor:
    """(1, T H W, C) -> the same resized by torch's interpolation of images, first space, then time."""
    channels = table.shape[-1]
    x = table.reshape(*old, channels).permute(0, 3, 1, 2)  # (T, C, H, W)
    mode = {"linear": "bilinear", "bicubic": "bicubic"}[space]
    x = F.interpolate(x, new[1:], mode=mode, align_corners=False, antialias=antialias)
    x = x.permute(1, 0, 2, 3).reshape(1, channels, old[0], -1)  # frames as the rows of an image
    x = F.interpolate(x, (new[0], x.shape[-1]), mode="bilinear", align_corners=False, antialias=antialias)
    return x.permute(0, 2, 3, 1).reshape(1, -1, channels)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("space", ["bicubic", "linear"])
@pytest.mark.parametrize("new", [(2, 3, 7), (6, 4, 3), (4, 8, 10), (3, 2, 2)])
def test_positions_are_resampled_as_images_are(space: str, antialias: bool, new: tuple[int, ...]) -> None:
    table = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 4 * 5 * 6, 3)).astype(np.float32))
    resized = resize_positions(table, (4, 5, 6), new, space=space, time="linear", antialias=antialias)
    expected = by_torch(table, (4, 5, 6), new, space, antialias)
    torch.testing.assert_close(resized, expected, atol=5e-6, rtol=0)


def test_linear_positions_follow_the_definition() -> None:
    places = torch.tensor([0.0, 10.0, 20.0, 30.0])[None, :, None]
    # Centres of 4 areas on a line of length 4 stand at .5, 1.5, ...; those of 8 at .25, .75, ...
    grown = [0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30]
    assert resize_positions(places, (4,), (8,)).flatten().tolist() == pytest.approx(grown)
    assert resize_positions(places, (4,), (2,)).flatten().tolist() == pytest.approx([5, 25])
    # A triangle of width 4 around .5: weights .75 at 0 and 1, .25 at 2.
    averaged = resize_positions(places, (4,), (2,), antialias=True).flatten().tolist()
    assert averaged == pytest.approx([(7.5 + 5) / 1.75, (2.5 + 15 + 22.5) / 1.75])


def test_the_nearest_position_is_repeated() -> None:
    table = torch.arange(4.0)[None, :, None]
    assert resize_positions(table, (4,), (8,), time="nearest").flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    image = resize_positions(table, (2, 2), (2, 4), space="nearest")
    assert image.flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_rows_without_a_place_stay_as_they_are() -> None:
    table = torch.randn(1, 2 + 9, 4)
    resized = resize_positions(table, (3, 3), (5, 4), num_first=2)
    assert resized.shape == (1, 22, 4)
    assert resized[:, :2].equal(table[:, :2])
    assert resized[:, 2:].equal(resize_positions(table[:, 2:], (3, 3), (5, 4)))


def test_space_alone_is_space_of_every_frame() -> None:
    table = torch.randn(2 * 9, 4)
    resized = resize_positions(table, (2, 3, 3), (2, 4, 4))
    frames = [resize_positions(frame, (3, 3), (4, 4)) for frame in table.split(9)]
    assert resized.equal(torch.cat(frames))


def test_a_table_of_the_same_grid_is_given_back() -> None:
    table = torch.randn(1, 9, 4)
    assert resize_positions(table, (3, 3), (3, 3)) is table


def test_resized_positions_are_trained_and_keep_their_type() -> None:
    table = torch.randn(1, 8, 4, requires_grad=True)
    resize_positions(table, (2, 2, 2), (4, 3, 3)).sum().backward()
    assert table.grad is not None
    assert (table.grad != 0).all()
    assert resize_positions(table.half(), (8,), (4,)).dtype == torch.half


@pytest.mark.parametrize(
    ("table", "old", "new", "settings", "problem"),
    [
        (torch.zeros(9, 1), (3, 3), (4,), {}, r"both alike, of sides of at least 1: got \(3, 3\) and \(4,\)"),
        (torch.zeros(9, 1), (3, 3), (0, 3), {}, r"sides of at least 1"),
        (torch.zeros(9, 1), (3, 4), (3, 3), {}, "the table has 9 rows, but a grid of 3 x 4 tokens has 12"),
        (torch.zeros(9, 1), (3, 3), (3, 3), {"num_first": 1}, "has 9, and 1 come before them"),
        (torch.zeros(9, 1), (3, 3), (4, 4), {"space": "cubic"}, "space must be 'bicubic', .* got 'cubic'"),
        (torch.zeros(9, 1), (9,), (4,), {"time": "bicubic"}, "time must be 'linear' or 'nearest', got 'bicubic'"),
    ],
)
def test_a_grid_that_does_not_fit_is_an_error(
    table: Tensor, old: tuple, new: tuple, settings: dict, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        resize_positions(table, old, new, **settings)
