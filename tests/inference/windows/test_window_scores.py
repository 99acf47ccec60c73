"""Scores over time out of overlapping windows, and the file that keeps them."""

import io
import json
import math
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinema.errors import DumpError
from kinema.inference.windows import VideoFacts, WindowScore, WindowScores, window_weights
from kinema.inference.windows.overlap import LEAST_WEIGHT

FACTS = VideoFacts(
    video="game.mp4", model="work/run", classes=("jump", "run", "sit"), length_seconds=2.0, stride_seconds=0.5
)
CLASSES = 3


def _windows(count: int = 12, *, start: float = 3.0, pause: float = 5.0) -> list[WindowScore]:
    """Windows of 2 s every 0.5 s, of probabilities; the second half comes after a pause."""
    generator = np.random.default_rng(1)
    windows = []
    for number in range(count):
        begin = start + 0.5 * number + (pause if number >= count // 2 else 0.0)
        scores = generator.dirichlet(np.ones(CLASSES)).astype(np.float32)
        windows.append(WindowScore(begin, begin + 2.0, 5 * number, 5 * number + 20, scores))
    return windows


@pytest.fixture
def scores() -> WindowScores:
    return WindowScores.of(_windows(), FACTS)


def _slowly(windows: list[WindowScore], time: float, weights: str) -> np.ndarray:
    """The weighted mean, by its definition."""
    shapes: dict[str, Callable[[float], float]] = {
        "uniform": lambda u: 1.0,
        "triangular": lambda u: LEAST_WEIGHT + (1 - LEAST_WEIGHT) * (1 - abs(u - 0.5) / 0.5),
        "hann": lambda u: LEAST_WEIGHT + (1 - LEAST_WEIGHT) * (0.5 - 0.5 * math.cos(2 * math.pi * u)),
    }
    total, weight_sum = np.zeros(CLASSES), 0.0
    for window in windows:
        if window.start_seconds <= time < window.end_seconds:
            weight = shapes[weights]((time - window.start_seconds) / (window.end_seconds - window.start_seconds))
            total += weight * window.scores.astype(np.float64)
            weight_sum += weight
    if not weight_sum:
        before = [window for window in windows if window.start_seconds <= time]
        return (before[-1] if before else windows[0]).scores.astype(np.float64)
    return total / weight_sum


@pytest.mark.parametrize("weights", ["uniform", "triangular", "hann"])
def test_overlapping_windows_give_their_weighted_mean_at_every_time(scores: WindowScores, weights: Any) -> None:
    times = np.random.default_rng(2).permutation(np.concatenate([np.linspace(0, 20, 301), scores.starts, scores.ends]))
    means = scores.at(times, weights=weights)
    expected = np.stack([_slowly(list(scores), time, weights) for time in times.tolist()])
    np.testing.assert_allclose(means, expected, atol=1e-6)
    np.testing.assert_allclose(means.sum(axis=1), 1, atol=1e-6)  # probabilities stay probabilities
    np.testing.assert_array_equal(scores.at(times, weights=weights, classes=["sit", "jump"]), means[:, [2, 0]])


def test_many_times_are_computed_in_parts(scores: WindowScores, monkeypatch: pytest.MonkeyPatch) -> None:
    times = np.linspace(0, 20, 101)
    expected = scores.at(times)
    monkeypatch.setattr("kinema.inference.windows.overlap._CELLS_AT_ONCE", 21)
    np.testing.assert_array_equal(scores.at(times), expected)


def test_a_grid_covers_the_video_from_its_first_frame_to_the_end_of_its_last(scores: WindowScores) -> None:
    begins, values = scores.on_grid(0.4)
    assert begins[0] == scores.start_seconds == 3.0
    assert begins[-1] < scores.end_seconds == 15.5 <= begins[-1] + 0.4 + 1e-9
    np.testing.assert_allclose(np.diff(begins), 0.4)
    np.testing.assert_array_equal(values[:-1], scores.at(begins[:-1] + 0.2))
    assert len(scores.on_grid(100.0)[0]) == 1
    assert scores.duration_seconds == 12.5


def test_weights_are_highest_in_the_middle_and_never_zero() -> None:
    places = np.array([0.0, 0.25, 0.5, 1.0])
    np.testing.assert_allclose(window_weights(places, "uniform"), 1)
    for shape, quarter in (("triangular", 0.5), ("hann", 0.5)):
        weights = window_weights(places, shape)  # type: ignore[arg-type]
        np.testing.assert_allclose(weights, [LEAST_WEIGHT, quarter, 1, LEAST_WEIGHT], atol=1e-3)


def test_what_cannot_be_asked_is_named(scores: WindowScores) -> None:
    with pytest.raises(ValueError, match="weights must be one of uniform, triangular, hann, got 'cosine'"):
        scores.at([1.0], weights="cosine")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"there is no class 'swim': expected one of 'jump', 'run', 'sit'"):
        scores.at([1.0], classes=["swim"])
    with pytest.raises(ValueError, match="a time is not a number"):
        scores.at([np.nan])
    with pytest.raises(ValueError, match="step_seconds must be above 0, got 0"):
        scores.on_grid(0)
    with pytest.raises(ValueError, match=r"a step of 1e-09 s gives more than 500000000 scores: choose a longer step"):
        scores.on_grid(1e-9)


def test_windows_that_do_not_go_together_are_named(scores: WindowScores) -> None:
    windows = _windows()
    with pytest.raises(ValueError, match="expected scores of at least one window for 3 classes"):
        WindowScores.of([], FACTS)
    with pytest.raises(ValueError, match=r"for 1 classes, got an array of shape \(12, 3\)"):
        replace(scores, facts=replace(FACTS, classes=("jump",)))
    with pytest.raises(ValueError, match="the windows are not in the order of their times"):
        WindowScores.of(windows[::-1], FACTS)
    with pytest.raises(ValueError, match="a window ends before it starts"):
        replace(scores, ends=scores.starts)
    with pytest.raises(ValueError, match="a score is not a number"):
        replace(scores, scores=scores.scores * np.float32(np.nan))
    with pytest.raises(ValueError, match=r"first_frames has the shape \(1,\), starts has \(12,\)"):
        replace(scores, first_frames=scores.first_frames[:1])
    many = np.arange(100_001.0)
    with pytest.raises(ValueError, match="100001 windows hold one time, expected at most 100000"):
        WindowScores(many, many * 0 + 1e9, many, many, np.zeros((len(many), 3), np.float32), FACTS)


def test_scores_survive_their_file(scores: WindowScores, tmp_path: Path) -> None:
    facts = replace(
        FACTS,
        video="naïve\x1b.mp4",
        thresholds={"run": 0.25},
        is_multi_label=True,
        num_frames=400,
        fps=29.97,
        views="1x3",
    )
    file = tmp_path / "scores.npz"
    replace(scores, facts=facts).save(file)
    read = WindowScores.load(file)
    assert read.facts == facts
    assert [vars(window) | {"scores": window.scores.tolist()} for window in read] == [
        vars(window) | {"scores": window.scores.tolist()} for window in scores
    ]
    assert list(tmp_path.iterdir()) == [file]
    assert repr(read) == r"WindowScores('naïve\\x1b.mp4': 12 windows of 2 s, every 0.5 s, 3 classes)"
    with np.load(file) as arrays:  # a plain file of numpy's
        np.testing.assert_array_equal(arrays["scores"], scores.scores)


def _changed(file: Path, name: str, content: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(file) as archive:
        members = {member: archive.read(member) for member in archive.namelist()} | {name: content}
    with zipfile.ZipFile(file, "w") as archive:
        for member, value in members.items():
            archive.writestr(member, value, compression if member == name else zipfile.ZIP_STORED)
    return file


def _array_file(shape: tuple[int, ...], kind: str, content: bytes) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": kind, "fortran_order": False, "shape": shape})
    return out.getvalue() + content


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("starts.npy", _array_file((10**15,), "<f8", b""), r"starts has 0 bytes, which are not those of its shape"),
        ("starts.npy", _array_file((2,), "|O", b"0" * 16), "starts is an array of object, expected float64"),
        ("starts.npy", b"\x93NUMPY\x09\x00", "starts is of another version of numpy's format"),
        ("starts.npy", _array_file((1,), "<f8", b"0" * 8), "expected scores of at least one window"),
        ("facts.json", b"[" * 100_000, "facts.json is nested too deeply"),
        ("facts.json", b"[]", "facts.json does not say that it is of 'kinema window scores'"),
        ("facts.json", dict(version=0), "'version' must be a whole number above 0, got 0"),
        ("facts.json", dict(version=2), "is of version 2, this Kinema .* reads up to 1: install a newer one"),
        ("facts.json", dict(classes="abc"), "'classes' is missing or of another type, got 'abc'"),
        ("facts.json", dict(classes=[1, 2, 3]), "'classes' must be names"),
        ("facts.json", dict(fps=True), "'fps' is missing or of another type, got True"),
        ("facts.json", dict(fps=float("nan")), "'fps' is out of range: nan"),
        (
            "facts.json",
            dict(thresholds={"run": 2}),
            "'thresholds' must hold a number from 0 to 1 for a class name, got 2",
        ),
    ],
)
def test_a_hostile_file_is_refused(
    scores: WindowScores, tmp_path: Path, name: str, content: bytes | dict[str, Any], message: str
) -> None:
    file = tmp_path / "scores.npz"
    scores.save(file)
    if isinstance(content, dict):
        with zipfile.ZipFile(file) as archive:
            content = json.dumps(json.loads(archive.read(name)) | content).encode()
    with pytest.raises(DumpError, match=rf"scores\.npz: .*{message}"):
        WindowScores.load(_changed(file, name, content))


def test_a_file_that_grows_when_it_is_read_is_refused(
    scores: WindowScores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "scores.npz"
    scores.save(file)
    with zipfile.ZipFile(file) as archive:
        content = archive.read("scores.npy")
    _changed(file, "scores.npy", content, zipfile.ZIP_DEFLATED)
    with pytest.raises(DumpError, match=r"scores\.npy is compressed or encrypted"):
        WindowScores.load(file)
    scores.save(file)
    monkeypatch.setattr("kinema.inference.windows.scores.MOST_FILE_BYTES", 100)
    with pytest.raises(DumpError, match=r"starts\.npy has \d+ bytes, expected at most 100"):
        WindowScores.load(file)


def test_a_damaged_or_absent_file_is_named(scores: WindowScores, tmp_path: Path) -> None:
    file = tmp_path / "scores.npz"
    with pytest.raises(DumpError, match=r"scores\.npz: there is no such file of scores"):
        WindowScores.load(file)
    scores.save(file)
    content = file.read_bytes()
    for length in range(0, len(content), 97):
        file.write_bytes(content[:length])
        with pytest.raises(DumpError, match=r"scores\.npz: is no file of window scores"):
            WindowScores.load(file)
    generator = np.random.default_rng(3)
    for _ in range(200):  # every damage is an error of ours, or harmless
        damaged = bytearray(content)
        for place in generator.integers(0, len(content), 3).tolist():
            damaged[place] = int(generator.integers(256))
        file.write_bytes(damaged)
        with suppress(DumpError):
            WindowScores.load(file)
