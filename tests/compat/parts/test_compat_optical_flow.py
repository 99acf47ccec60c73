"""Optical flow under mmcv's names: files, quantization, warping, colours."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from kinema.compat.parts import optical_flow
from kinema.compat.parts.quantization import dequantize, quantize
from kinema.errors import KinemaError


@pytest.fixture
def flow() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.5, (6, 8, 2)).astype(np.float32)


def test_numbers_become_levels_and_come_back() -> None:
    numbers = np.linspace(-1.2, 1.2, 25)
    levels = quantize(numbers, -1, 1, 20)
    expected = [min(int((min(max(number, -1), 1) + 1) / 2 * 20), 19) for number in numbers]
    assert levels.tolist() == expected
    assert quantize(numbers, -1, 1, 20, np.uint8).dtype == np.uint8
    back = dequantize(levels, -1, 1, 20)
    assert np.abs(back - np.clip(numbers, -1, 1)).max() <= 0.05 + 1e-9
    with pytest.raises(ValueError, match="levels must be a whole number above 1, got 1"):
        quantize(numbers, -1, 1, 1)
    with pytest.raises(ValueError, match=r"min_val \(1\) must be below max_val \(-1\)"):
        dequantize(levels, 1, -1, 20)


def test_a_flow_is_read_back_from_its_file(flow: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "a.flo"
    optical_flow.flowwrite(flow, file)
    assert np.array_equal(optical_flow.flowread(file), flow)
    assert optical_flow.flowread(flow) is flow
    assert file.read_bytes()[:12] == np.float32(202021.25).tobytes() + bytes([8, 0, 0, 0, 6, 0, 0, 0])
    for axis in (0, 1):
        image = tmp_path / f"{axis}.png"
        optical_flow.flowwrite(flow, image, quantize=True, concat_axis=axis, max_val=2, norm=False)
        again = optical_flow.flowread(image, True, axis, max_val=2, denorm=False)
        assert again.dtype == np.float32
        np.testing.assert_allclose(again, flow, atol=2 / 255)
    across, down = optical_flow.quantize_flow(flow, max_val=0.5)
    np.testing.assert_allclose(optical_flow.dequantize_flow(across, down, max_val=0.5), flow, atol=8 / 255)


def test_a_sparse_flow_says_where_it_is_known(flow: np.ndarray) -> None:
    known = np.arange(48, dtype=np.uint16).reshape(6, 8) % 2
    stored = np.dstack([(flow * 64 + 2**15).round().astype(np.uint16), known])
    data = cv2.imencode(".png", stored[..., ::-1])[1].tobytes()
    again, valid = optical_flow.sparse_flow_from_bytes(data)
    np.testing.assert_allclose(again, flow, atol=1 / 64)
    assert np.array_equal(valid, known)


def test_what_is_no_flow_is_refused(flow: np.ndarray, tmp_path: Path) -> None:
    file = tmp_path / "a.flo"
    optical_flow.flowwrite(flow, file)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(KinemaError, match=r"a\.flo: this \.flo file ends before its 8 x 6 vectors"):
        optical_flow.flowread(file)
    with pytest.raises(KinemaError, match=r"no \.flo file: it begins with PIEH"):
        optical_flow.flow_from_bytes(b"PNG")
    for content in (b"", b"no image"):
        with pytest.raises(KinemaError, match="no image that OpenCV can read"):
            optical_flow.sparse_flow_from_bytes(content)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(KinemaError, match=r"a\.png is no quantized flow: it has 3 axes, not 2"):
        optical_flow.flowread(tmp_path / "a.png", quantize=True)
    with pytest.raises(ValueError, match="concat_axis must be 0 or 1, got 2"):
        optical_flow.flowwrite(flow, file, quantize=True, concat_axis=2)
    with pytest.raises(ValueError, match=r"must have the shape \(H, W, 2\), got \(6, 8\)"):
        optical_flow.flowread(flow[..., 0])
    with pytest.raises(TypeError, match="must be an array or the path of a file, got int"):
        optical_flow.flowread(1)
    with pytest.raises(ValueError, match=r"must both be \(H, W\), got \(6, 8\) and \(5, 8\)"):
        optical_flow.dequantize_flow(flow[..., 0], flow[:5, :, 0])
    with pytest.raises(ValueError, match=r"an image to warp must be \(H, W, C\), got \(6, 8\)"):
        optical_flow.flow_warp(flow[..., 0], flow)
    with pytest.raises(ValueError, match="interpolate_mode must be one of nearest, bilinear, got 'cubic'"):
        optical_flow.flow_warp(flow, flow, interpolate_mode="cubic")
    with pytest.raises(ValueError, match="a colour wheel needs 6 numbers of colours"):
        optical_flow.make_color_wheel([1, 2])


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_pixels_are_taken_from_where_the_flow_points(flow: np.ndarray, mode: str) -> None:
    image = np.random.default_rng(1).random((6, 8, 3))
    warped = optical_flow.flow_warp(image, flow, filling_value=9, interpolate_mode=mode)
    for row in range(6):
        for column in range(8):
            x, y = column + float(flow[row, column, 0]), row + float(flow[row, column, 1])
            left, top = int(np.floor(x)), int(np.floor(y))
            if not (0 <= left < 7 and 0 <= top < 5):
                expected = np.full(3, 9.0)
            elif mode == "nearest":
                expected = image[round(y), round(x)]
            else:
                part = image[top : top + 2, left : left + 2]
                expected = np.einsum("yxc,y,x->c", part, [1 - (y - top), y - top], [1 - (x - left), x - left])
            np.testing.assert_allclose(warped[row, column], expected, rtol=1e-6)


def test_directions_have_colours_and_lengths_their_strength() -> None:
    wheel = optical_flow.make_color_wheel()
    assert wheel.shape == (55, 3)
    assert wheel[[0, 15, 21, 25, 36, 49]].tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1]]
    flow = np.zeros((2, 2, 2))
    flow[0, 0], flow[0, 1], flow[1, 0] = (4, 0), (2, 0), (1e7, 0)
    colours = optical_flow.flow2rgb(flow)
    assert colours[0, 0].tolist() == wheel[0].tolist()
    np.testing.assert_allclose(colours[0, 1], 1 - 0.5 * (1 - wheel[0]))
    assert colours[1].tolist() == [[0, 0, 0], [1, 1, 1]]
    assert not optical_flow.flow2rgb(flow * np.nan).any()
