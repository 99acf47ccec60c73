"""Frames and files that several tests of video need."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def moving_frames() -> list[np.ndarray]:
    """40 frames (64, 96, 3): a smooth coloured background through which a square moves; no two are alike."""
    height, width = 64, 96
    y, x = np.mgrid[:height, :width]
    background = np.stack([x * 2, y * 3, 255 - x - y], axis=-1).clip(0, 255).astype(np.uint8)
    frames = []
    for index in range(40):
        frame = background.copy()
        left, top = index * 2 % (width - 20), index * 5 % (height - 20)
        frame[top : top + 20, left : left + 20] = (255 - 6 * index, 6 * index, 128)
        frames.append(frame)
    return frames


@pytest.fixture(scope="session")
def ask_for_rotation() -> Callable[[Path, int], None]:
    """Change the matrix in the track header of an mp4 file so that players turn it by clockwise quarter turns."""

    def change(path: Path, quarter_turns: int) -> None:
        content = bytearray(path.read_bytes())
        cosine, sine = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarter_turns % 4]
        place = content.index(b"tkhd") + 44
        for number in (cosine, sine, 0, -sine, cosine, 0):
            content[place : place + 4] = (number << 16).to_bytes(4, "big", signed=True)
            place += 4
        path.write_bytes(content)

    return change
