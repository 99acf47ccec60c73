"""Whatever goes wrong with a video leaves the reader as a VideoError that names it."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.video import VideoReader, write_video
from kinema.video.backends.pyav import PyAVBackend

QUESTIONS: dict[str, Callable[[VideoReader], object]] = {
    "len": len,
    "fps": lambda reader: reader.fps,
    "duration": lambda reader: reader.duration_seconds,
    "width": lambda reader: reader.width,
    "height": lambda reader: reader.height,
    "rotation": lambda reader: reader.rotation_degrees,
    "times": lambda reader: reader.timestamps_seconds,
    "index": lambda reader: reader.index,
    "damage": lambda reader: reader.find_damage(),
    "item": lambda reader: reader[5],
    "slice": lambda reader: reader[3:6],
    "iterate": lambda reader: list(reader),
    "batch": lambda reader: reader.get_batch([1, 7]),
    "at": lambda reader: reader.frames_at([0.2]),
}


class Failing(io.BytesIO):
    """A file object of the user that breaks when it is told to, with an error of its own."""

    name = "camera 7"
    is_broken = False

    def read(self, size: int | None = -1, /) -> bytes:
        if self.is_broken:
            raise RuntimeError("the line is dead")
        return super().read(size)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A video too large for the buffers of FFmpeg."""
    noise = np.random.default_rng(0).integers(256, size=(12, 96, 128, 3), dtype=np.uint8)
    path = write_video(tmp_path_factory.mktemp("errors") / "noise.mp4", noise, 10, crf=0)
    return Path(path).read_bytes()


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_error_of_the_users_file_object_becomes_a_video_error(name: str, content: bytes) -> None:
    QUESTIONS[name](VideoReader(Failing(content)))  # answered as long as the file can be read
    file = Failing(content)
    reader = VideoReader(file)
    file.is_broken = True
    with pytest.raises(VideoError, match=r"camera 7: cannot be decoded \(the line is dead\)"):
        QUESTIONS[name](reader)


def test_a_file_object_that_cannot_be_opened_is_named(content: bytes) -> None:
    file = Failing(content)
    file.is_broken = True
    with pytest.raises(VideoError, match=r"camera 7: is no video that can be read \(the line is dead\)"):
        VideoReader(file)


def test_every_public_method_of_the_exact_backend_raises_video_errors_only() -> None:
    public = {name: member for name, member in vars(PyAVBackend).items() if not name.startswith("_")}
    functions = {name: member.fget if isinstance(member, property) else member for name, member in public.items()}
    unguarded = [name for name, function in functions.items() if not hasattr(function, "__wrapped__")]
    assert unguarded == []
