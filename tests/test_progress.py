import io
import itertools
import math
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from kinema import progress
from kinema.progress import (
    ProgressBar,
    format_seconds,
    progress_line,
    track_iter_progress,
    track_parallel_progress,
    track_progress,
)


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (123, "2:03"), (3723.4, "1:02:03")])
def test_seconds_read_like_a_clock(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00.0"), (83.25, "1:23.3"), (59.96, "1:00.0"), (3723.4, "1:02:03.4")]
)
def test_tenths_of_seconds_are_shown_where_asked_for(seconds, text):
    assert format_seconds(seconds, 1) == text


@pytest.fixture(autouse=True)
def _steady_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A millisecond passes from one look at the clock to the next, however busy the machine."""
    looks = itertools.count()
    monkeypatch.setattr(progress, "monotonic", lambda: 0.001 * next(looks))


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


LOADER = DataLoader(list(range(5)), batch_size=2)


@pytest.mark.parametrize(
    ("tasks", "count"),
    [([4, 5, 6], 3), ((4, 5, 6), 3), (range(3), 3), ((iter([4, 5, 6]), 3), 3), ({1: 2, 3: 4}, 2), (LOADER, 3), ([], 0)],
)
def test_anything_with_a_length_can_be_followed(tasks: Any, count: int) -> None:
    out = io.StringIO()
    expected = [4, 5, 6] if isinstance(tasks, tuple) else list(tasks)
    items = list(track_iter_progress(tasks, file=out))
    assert len(items) == count
    assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(items, expected, strict=True))
    assert out.getvalue().startswith(f"{count}/{count} (100%)" if count else "0")


def test_a_pair_of_tasks_is_no_iterable_with_its_length() -> None:
    assert list(track_iter_progress((4, 5), file=io.StringIO())) == [4, 5]
    assert list(track_iter_progress(("ab", "cd"), file=io.StringIO())) == ["ab", "cd"]


def test_tasks_of_unknown_number_are_refused_at_once() -> None:
    with pytest.raises(
        TypeError, match=r"an iterable with a length, or a pair \(iterable, length\), got list_iterator"
    ):
        track_iter_progress(iter([1]))
    with pytest.raises(TypeError, match="got int"):
        track_iter_progress(3)  # type: ignore[arg-type]


def test_progress_goes_to_stderr_as_it_is_at_the_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert track_progress(lambda x: 2 * x, [1, 2]) == [2, 4]
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"2/2 \(100%\), [\d.]+/s, 0:00 gone\n", err)


def test_a_file_has_few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    out = io.StringIO()
    for _ in track_iter_progress(range(40), file=out):
        now[0] += 0.25
    lines = out.getvalue().splitlines()
    assert lines == ["20/40 (50%), 4.0/s, 0:05 gone, 0:05 left", "40/40 (100%), 4.0/s, 0:10 gone"]


def test_a_loop_left_early_says_how_far_it_came() -> None:
    out = io.StringIO()
    for item in track_iter_progress([1, 2, 3, 4], file=out):
        if item == 3:
            break
    assert out.getvalue().startswith("2/4 (50%)")


def fail(_: int) -> int:
    raise OSError("no such clip")


def test_an_error_closes_the_bar_and_passes() -> None:
    out = io.StringIO()
    with pytest.raises(OSError, match="no such clip"):
        track_progress(fail, [1, 2], file=out)
    assert out.getvalue().startswith("0/2 (0%)")


def test_the_line_tells_count_rate_and_time() -> None:
    assert progress_line(30, 120, 60.0) == "30/120 (25%), 2.0 s each, 1:00 gone, 3:00 left"
    assert progress_line(7, 0, 3.5) == "7, 2.0/s, 0:04 gone"
    assert progress_line(0, 3, 0.0) == "0/3 (0%), 0:00 gone"
    assert progress_line(1, 3, 4000.0) == "1/3 (33%), 4000.0 s each, 1:06:40 gone, 2:13:20 left"


def test_a_bar_is_driven_by_hand() -> None:
    out = io.StringIO()
    bar = ProgressBar(3, start=False, file=out)
    bar.start()
    bar.update(2)
    assert out.getvalue() == ""
    bar.update()
    bar.close()
    assert bar.completed == 3
    assert len(out.getvalue().splitlines()) == 1


def test_a_bar_starts_itself_at_the_first_update() -> None:
    out = io.StringIO()
    bar = ProgressBar(1, start=False, file=out)
    bar.close()
    assert out.getvalue() == ""
    bar.update()
    assert out.getvalue().startswith("1/1")


def test_a_bar_without_a_number_counts() -> None:
    out = io.StringIO()
    bar = ProgressBar(file=out)
    bar.update(5)
    bar.close()
    assert re.fullmatch(r"5, [\d.]+/s, 0:00 gone\n", out.getvalue())


def test_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    assert list(track_iter_progress([1, 2, 3], bar_width=20, file=out)) == [1, 2, 3]
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", out.getvalue())
    assert "━" * 20 in text
    assert "3/3" in text
    assert text.count("\n") <= 2


def test_wrong_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="the number of tasks must be 0 or more, got -1"):
        ProgressBar(-1)
    with pytest.raises(ValueError, match="finished tasks must be 1 or more, got 0"):
        ProgressBar(1, file=io.StringIO()).update(0)
    with pytest.raises(ValueError, match="the number of processes must be 1 or more, got 0"):
        track_parallel_progress(math.sqrt, [1], 0)


@pytest.fixture
def _light_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are started afresh need not import pytest's main module."""
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)


@pytest.mark.usefixtures("_light_processes")
def test_processes_share_the_tasks() -> None:
    out = io.StringIO()
    assert track_parallel_progress(math.sqrt, [1.0, 4.0, 9.0], 2, file=out) == [1, 2, 3]
    assert out.getvalue().startswith("3/3 (100%)")


@pytest.mark.usefixtures("_light_processes")
def test_processes_may_give_results_as_they_come(tmp_path: Path) -> None:
    sizes = track_parallel_progress(
        os.path.getsize, [__file__, os.__file__], 2, os.chdir, (tmp_path,), keep_order=False, file=io.StringIO()
    )
    assert sorted(sizes) == sorted(Path(file).stat().st_size for file in (__file__, os.__file__))


@pytest.mark.usefixtures("_light_processes")
def test_an_error_in_a_process_passes() -> None:
    out = io.StringIO()
    with pytest.raises(ValueError, match=r"math domain error|nonnegative"):
        track_parallel_progress(math.sqrt, [-1.0], 1, file=out)
    assert out.getvalue().startswith("0/1")
