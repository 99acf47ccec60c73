"""Orientation and decode-time scaling: what players show, and close to an area resize."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from kinema.video import VideoReader, write_video

Turn = Callable[[np.ndarray], np.ndarray]

# Matrix (a, b, c, d) of the track header, which maps (p, q) to (a p + c q, b p + d q), and what it
# makes of an image.
MATRICES: dict[str, tuple[tuple[int, int, int, int], Turn]] = {
    "upright": ((1, 0, 0, 1), lambda image: image),
    "clockwise": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "upside down": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "counter-clockwise": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "left and right exchanged": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "up and down exchanged": ((1, 0, 0, -1), lambda image: image[::-1]),
    "transposed": ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
    "transposed along the other diagonal": ((0, -1, -1, 0), lambda image: np.rot90(image, 2).swapaxes(0, 1)),
}


def write_with_matrix(path: Path, frames: list[np.ndarray], matrix: tuple[int, int, int, int]) -> Path:
    write_video(path, frames, 25)
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    a, b, c, d = matrix
    for number in (a, b, 0, c, d, 0):
        content[place : place + 4] = (number << 16).to_bytes(4, "big", signed=True)
        place += 4
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", MATRICES)
def test_frames_are_turned_and_mirrored_as_the_file_asks(
    name: str, tmp_path: Path, moving_frames: list[np.ndarray]
) -> None:
    matrix, turn = MATRICES[name]
    path = write_with_matrix(tmp_path / "turned.mp4", moving_frames[:5], matrix)
    stored = VideoReader(path, rotate=False)
    assert stored.rotation_degrees == 0
    reader = VideoReader(path)
    assert np.array_equal(reader[3], turn(stored[3]))
    assert np.array_equal(reader[:], np.stack([turn(frame) for frame in stored]))
    assert (reader.height, reader.width) == reader[0].shape[:2]


@pytest.mark.parametrize(("name", "degrees"), [("clockwise", 270), ("upside down", 180), ("counter-clockwise", 90)])
def test_the_rotation_is_told_counter_clockwise(
    name: str, degrees: int, tmp_path: Path, moving_frames: list[np.ndarray]
) -> None:
    path = write_with_matrix(tmp_path / "turned.mp4", moving_frames[:1], MATRICES[name][0])
    assert VideoReader(path).rotation_degrees == degrees


@pytest.mark.parametrize("name", ["upright", "clockwise", "left and right exchanged"])
@pytest.mark.parametrize(
    ("options", "sizes"),
    [({"short_side": 32}, [(32, 48), (48, 32)]), ({"size": (30, 40)}, [(30, 40), (30, 40)])],
    ids=["short side", "size"],
)
def test_scaled_frames_are_close_to_an_area_resize_of_what_is_shown(
    name: str, options: dict, sizes: list, tmp_path: Path, moving_frames: list[np.ndarray]
) -> None:
    path = write_with_matrix(tmp_path / "turned.mp4", moving_frames[:3], MATRICES[name][0])
    whole = VideoReader(path)[2]
    reader = VideoReader(path, **options)
    height, width = sizes[name == "clockwise"]
    assert (reader.height, reader.width) == (height, width)
    frame = reader[2]
    assert frame.shape == (height, width, 3)
    expected = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    assert np.abs(frame.astype(int) - expected).mean() < 4
