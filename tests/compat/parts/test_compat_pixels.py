import numpy as np
import pytest
import torch

from kinema.compat.parts.pixels import PixelData


def test_fields_share_height_and_width_and_are_cut_together() -> None:
    data = PixelData(metainfo={"img_id": 3}, mask=np.arange(12).reshape(3, 4), features=torch.zeros(5, 3, 4))
    assert data.shape == (3, 4)
    assert data.mask.shape == (1, 3, 4)
    part = data[1:, -1]
    assert (part.shape, part.mask.tolist(), part.img_id) == ((2, 1), [[[7], [11]]], 3)
    assert data[0, 0].features.shape == (5, 1, 1)
    assert PixelData().shape is None


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([1], TypeError, "mask must be a tensor or array, got list"),
        (np.zeros(3), ValueError, r"mask must have the shape \(C, H, W\) or \(H, W\), got \(3,\)"),
        (np.zeros((3, 5)), ValueError, r"mask has \(3, 5\) pixels, the other fields have \(3, 4\)"),
    ],
)
def test_what_is_no_field_of_pixels_is_refused(value, error, message) -> None:
    data = PixelData(features=torch.zeros(5, 3, 4))
    with pytest.raises(error, match=message):
        data.mask = value


def test_pixels_are_chosen_by_rows_and_columns() -> None:
    data = PixelData(features=torch.zeros(5, 3, 4))
    with pytest.raises(TypeError, match=r"chosen by rows and columns, data\[rows, columns\], got 3"):
        data[3]
    with pytest.raises(TypeError, match="rows and columns are ints or slices, got float: 1.5"):
        data[1.5, 2]
