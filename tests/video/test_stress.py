"""Every public method of a reader in random order, over many kinds of files: no crash, and always the same answers."""

import inspect
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.video import VideoReader, index_cache, packets, write_video

MAX_SECONDS = 600  # of one file, on a machine that does much else

MADE: dict[str, dict[str, Any]] = {
    "program.mpg": {"codec": "mpeg2video", "options": {"g": "9", "bf": "2"}},
    "raw.h264": {"options": {"g": "9", "bf": "2"}},
    "h264.mkv": {"options": {"g": "9", "bf": "2"}},
    "h264.mp4": {"options": {"g": "9", "bf": "2"}},
    "h264.ts": {"options": {"g": "9", "bf": "2"}},
    "h264.flv": {"options": {"g": "9", "bf": "2"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"g": "9", "bf": "2"}},
    "gif.gif": {"codec": "gif", "pixel_format": "rgb8"},
}

Answer = Callable[[Any], object]


def digest(frames: np.ndarray) -> list[int]:
    return [zlib.crc32(np.ascontiguousarray(frame)) for frame in frames]


def run_of_frames(reader: VideoReader, first: int) -> list[int]:
    """What iteration gives, from somewhere on."""
    iterator = iter(reader)
    return digest(np.stack([frame for _, frame in zip(range(3), iterator, strict=False)]))


def questions(rng: np.random.Generator, length: int) -> dict[str, tuple[str, Answer]]:
    """Public name -> what is asked, as text, and how; the same text always has the same answer."""
    one = int(rng.integers(-length, length))
    start, step = int(rng.integers(length)), int(rng.integers(1, 5))
    some = rng.integers(length, size=4).tolist()
    share = float(rng.choice([0.0, 0.3, 0.6, 0.9]))

    def at(reader: VideoReader) -> list[int]:
        times = reader.timestamps_seconds
        return digest(reader.frames_at([times[0] + share * (times[-1] - times[0])]))

    facts = ("fps", "duration_seconds", "width", "height", "rotation_degrees", "num_replaced")
    asked: dict[str, tuple[str, Answer]] = {
        name: (name, partial(lambda name, reader: getattr(reader, name), name)) for name in facts
    }
    asked |= {
        "__len__": ("len", len),
        "timestamps_seconds": ("times", lambda reader: zlib.crc32(reader.timestamps_seconds.tobytes())),
        "index": ("index", lambda reader: zlib.crc32(reader.index.packet_of_frame.tobytes())),
        "find_damage": ("damage", lambda reader: str(reader.find_damage())),
        "__getitem__": (f"[{one}]", lambda reader: digest(reader[one][None])),
        "slice": (f"[{start}::{step}]", lambda reader: digest(reader[start : start + 6 * step : step])),
        "__iter__": ("iterate", lambda reader: run_of_frames(reader, 0)),
        "get_batch": (f"batch {some}", lambda reader: digest(reader.get_batch(some))),
        "frames_at": (f"at {share}", at),
        "motion_vectors": (f"motion {some}", lambda reader: digest(reader.motion_vectors(some))),
        "close": ("close", lambda reader: reader.close()),
        "__enter__": ("enter", lambda reader: reader.__enter__() is reader),
        "__exit__": ("exit", lambda reader: reader.__exit__(None, None, None)),
        "__getstate__": ("state", lambda reader: sorted(reader.__getstate__())),
    }
    return asked


def ask(reader: VideoReader, answer: Answer) -> object:
    try:
        return answer(reader)
    except VideoError as error:
        return f"VideoError: {error}"


def stress(path: Path, seed: int, turns: int, steps: int) -> int:
    """Ask many readers of one file; the number of answers, which are the same whoever is asked."""
    av.logging.set_level(None)
    rng = np.random.default_rng(seed)
    known: dict[str, object] = {}
    index, count = None, 0
    for turn in range(turns):
        if turn % 3 == 0:
            index_cache.forget_indices()
        packets._KEPT_BYTES = 0 if turn % 2 else 32 * 2**20  # as a file above that size
        try:
            pair = [VideoReader(path, num_threads=1 + turn % 5 // 4) for _ in range(2)]
            length = len(pair[0])
            if turn % 4 == 3:
                index = index or VideoReader(path).index
                pair[1] = VideoReader(path, index=index)
        except VideoError as error:
            message = str(error)
            assert known.setdefault("open", message) == message
            continue
        for step in range(steps):
            reader = pair[int(rng.integers(2))]
            name = str(rng.choice(list(questions(np.random.default_rng(0), length))))
            if name in ("close", "__exit__") and step < steps - 2:
                continue
            text, answer = questions(rng, length)[name]
            with suppress(ValueError):  # the reader is closed
                result = ask(reader, answer)
                assert known.setdefault(text, result) == result, f"{path.name}: {text} in turn {turn}, step {step}"
                count += 1
    return count


def stress_in_a_process(paths: Iterable[Path], *args: int) -> dict[str, int]:
    """Name -> number of answers. A crash is a failure of the test, not its end."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return {path.name: pool.submit(stress, path, *args).result(timeout=MAX_SECONDS) for path in paths}


def test_every_public_name_of_a_reader_is_asked() -> None:
    asked = questions(np.random.default_rng(0), 10)
    public = {
        name
        for name, _ in inspect.getmembers(VideoReader)
        if name in vars(VideoReader) and (not name.startswith("_") or name in asked)
    }
    assert public <= set(asked)


@pytest.fixture(scope="module")
def made_files(tmp_path_factory: pytest.TempPathFactory, moving_frames: list[np.ndarray]) -> list[Path]:
    folder = tmp_path_factory.mktemp("stress")
    return [write_video(folder / name, moving_frames, 25, **options) for name, options in MADE.items()]


def test_readers_asked_at_random_do_not_crash(made_files: list[Path]) -> None:
    answers = stress_in_a_process(made_files, 0, 6, 12)
    assert min(answers.values()) > 20, answers


@pytest.mark.slow
def test_readers_asked_at_random_for_long_do_not_crash(made_files: list[Path]) -> None:
    answers = stress_in_a_process(made_files, 1, 40, 40)
    assert min(answers.values()) > 500, answers


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["formats", "kinetics_style", "labelled"])
def test_readers_of_real_clips_asked_at_random_do_not_crash(folder: str, shared_clips: Path) -> None:
    paths = sorted(path for path in (shared_clips / folder).rglob("*") if path.is_file())
    turns = 2 if folder == "labelled" else 5  # many and alike
    assert len(stress_in_a_process(paths, 2, turns, 8)) == len({path.name for path in paths})
