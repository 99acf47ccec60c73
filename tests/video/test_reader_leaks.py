"""Readers that come and go leave no memory and no open file behind."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from open_files import open_files

from kinema.errors import VideoError
from kinema.video import VideoReader, write_video

CYCLES = 300
WARM_UP = 50
LIMIT_MB = 8

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc"),
]


def memory_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def read_and_close(path: Path, number: int) -> None:
    with VideoReader(path) as reader:
        reader.get_batch([number % len(reader)])


def read_and_drop(path: Path, number: int) -> None:
    reader = VideoReader(path)
    reader.get_batch([number % len(reader)])


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory, moving_frames: list[np.ndarray]) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("leaks")
    files = {"h264": folder / "a.mp4", "mpeg4": folder / "b.avi", "damaged": folder / "c.avi", "text": folder / "d.mp4"}
    write_video(files["h264"], moving_frames, 25)
    write_video(files["mpeg4"], moving_frames, 25)
    content = bytearray(files["mpeg4"].read_bytes())
    pictures, end = content.index(b"movi"), content.index(b"idx1")
    for byte in range((pictures + end) // 2, end, 37):
        content[byte] ^= 0x55
    files["damaged"].write_bytes(content)
    files["text"].write_text("no video at all\n" * 100)
    return files


KINDS = ["h264", "mpeg4", "damaged", "text"]


@pytest.mark.parametrize(
    ("kind", "cycle"),
    [pytest.param(kind, read_and_close, id=f"{kind} closed") for kind in KINDS]
    + [pytest.param(kind, read_and_drop, id=f"{kind} dropped") for kind in KINDS],
)
def test_readers_leave_no_memory_and_no_open_file(
    paths: dict[str, Path], kind: str, cycle: Callable[[Path, int], None]
) -> None:
    memory, failed, most_files = 0.0, 0, 0
    for number in range(CYCLES):
        try:
            cycle(paths[kind], number)
        except VideoError:
            failed += 1
        most_files = max(most_files, open_files(paths[kind]))
        if number == WARM_UP:
            memory = memory_mb()
    assert memory_mb() - memory < LIMIT_MB
    assert most_files <= 2  # and not only after a garbage collection
    assert (failed > 0) == (kind in ("damaged", "text"))


def test_a_reader_that_is_dropped_before_it_is_used_closes_its_file(paths: dict[str, Path]) -> None:
    reader = VideoReader(paths["h264"])
    assert open_files(paths["h264"]) == 1
    del reader
    assert open_files(paths["h264"]) == 0
