"""Tables of positions: stretched and shrunk to other grids."""

import numpy as np
import pytest
import torch
from torch import Tensor

from kinema.models.layers.positions import resize_positions


def triangle(distance: float) -> float:
    return max(0.0, 1 - abs(distance))


def cubic(distance: float, a: float) -> float:
    """The kernel of Keys 1981."""
    x = abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def weights(old: int, new: int, how: str, antialias: bool) -> np.ndarray:
    """(new, old): what each new place takes from the old ones, written from the definition."""
    step = old / new
    matrix = np.zeros((new, old))
    width = max(step, 1.0) if antialias else 1.0
    for row in range(new):
        centre = (row + 0.5) * step - 0.5
        for place in range(-2 - int(2 * width), old + 2 + int(2 * width)):
            distance = (place - centre) / width
            weight = triangle(distance) if how == "linear" else cubic(distance, -0.5 if antialias else -0.75)
            if antialias and not 0 <= place < old:
                continue  # an average leaves out what lies outside; otherwise the border is repeated
            matrix[row, min(max(place, 0), old - 1)] += weight
    return matrix / matrix.sum(1, keepdims=True)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("space", ["bicubic", "linear"])
@pytest.mark.parametrize("new", [(2, 3, 7), (6, 4, 3), (4, 8, 10)])
def test_positions_are_resampled_by_half_pixel_rules(space: str, antialias: bool, new: tuple[int, ...]) -> None:
    old = (4, 5, 6)
    table = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 120, 3)).astype(np.float32))
    resized = resize_positions(table, old, new, space=space, time="linear", antialias=antialias)
    in_time, in_rows, in_columns = (
        weights(a, b, how, antialias) for a, b, how in zip(old, new, ("linear", space, space), strict=True)
    )
    grid = table.numpy().reshape(*old, 3).astype(np.float64)
    expected = np.einsum("at,bh,cw,thwx->abcx", in_time, in_rows, in_columns, grid).reshape(1, -1, 3)
    np.testing.assert_allclose(resized.numpy(), expected, atol=2e-6)


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
