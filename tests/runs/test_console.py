import io
import sys

import numpy as np
import pytest
import torch

from kinema.runs.console import PassBar, format_pace, pace_of, peak_memory


def test_the_pace_is_clips_a_second_and_the_share_of_waiting():
    pace = pace_of(40, 0.5, 2.0, 3 * 2**29)
    assert pace == {"clips_per_second": 20.0, "data_share": 0.25, "memory_gib": 1.5}
    assert format_pace(pace, 3723.4) == "20.0 clips/s (25% waiting for data)  1.5 GiB  1:02:03 left"


def test_what_is_not_known_is_left_out():
    assert pace_of(0, 0.0, 0.0, None) == {}
    assert format_pace({}, None) == ""
    assert format_pace(pace_of(5000, 0.0, 2.0, None), None) == "2500 clips/s (0% waiting for data)"


def test_waiting_is_never_more_than_all_of_the_time():
    assert pace_of(1, 2.1, 2.0, None)["data_share"] == 1.0


@pytest.mark.slow
def test_the_memory_of_a_process_grows_with_what_it_holds():
    before = peak_memory(torch.device("cpu"))
    if before is None:
        pytest.skip("this system does not say")
    held = np.ones(before + 2**26, dtype=np.uint8)
    assert peak_memory() > before
    assert held.sum() > 0


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_is_drawn_on_a_terminal_and_taken_away(monkeypatch):
    monkeypatch.setattr("kinema.runs.console.SECONDS_BETWEEN", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    bar = PassBar()
    bar.show(3, 12, epoch=2)
    print("a line of the log", file=sys.stderr)
    bar.show(4, None, epoch=2)
    bar.close()
    bar.close()
    shown = terminal.getvalue()
    assert "epoch 2" in shown
    assert " 3/12" in shown
    assert "a line of the log" in shown
    assert sys.stderr is terminal
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor is hidden, and is back


def test_elsewhere_there_is_no_bar(monkeypatch, capsys):
    monkeypatch.setattr("kinema.runs.console.SECONDS_BETWEEN", 0.0)
    bar = PassBar()
    bar.show(3, 12, epoch=2)
    bar.close()
    assert capsys.readouterr().err == ""
