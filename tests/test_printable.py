"""Names of others never act on a terminal, a page or a log."""

import io
import logging
import sys
from pathlib import Path

import pytest

from kinema.logs import show_on_console
from kinema.printable import PrintableFormatter, breaks_lines, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;PWNED\x07\x1b[31mred", r"\x1b]0;PWNED\x07\x1b[31mred"),
        ("clap\nrun\r\t", r"clap\nrun\r\t"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("gpj.\u202e4pm", r"gpj.\u202e4pm"),
        ("a\u2028b\u2066c\ufeff\U000e0041", r"a\u2028b\u2066c\ufeff\U000e0041"),
        (b"\xb6\xaf.mp4".decode("utf-8", "surrogateescape"), r"\xb6\xaf.mp4"),
        ("\ud800", r"\ud800"),
        ("wave 波 🏃\u200d♀️ é", "wave 波 🏃\u200d♀️ é"),
        (Path("a\x7fb"), r"a\x7fb"),
    ],
)
def test_what_acts_on_a_terminal_is_shown_as_an_escape(text: object, shown: str) -> None:
    assert printable(text) == shown


def test_line_breaks_stay_where_a_text_has_several_lines() -> None:
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@pytest.mark.parametrize("name", ["a\nb", "a\r", "\v", "a\u2028", "a\x85", "\x1c"])
def test_names_that_no_list_can_hold_are_known(name: str) -> None:
    assert breaks_lines(name)
    assert not breaks_lines("a b\t é 波\udcb6\x1b")
    assert not breaks_lines("")


def test_a_name_cannot_forge_a_line_of_the_log() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PrintableFormatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("kinema.test_printable")
    logger.propagate = False
    logger.addHandler(handler)
    logger.warning("%s: %d of %.1f %s\nnext", Path("a\nERROR b"), 3, 2.5, ValueError("\x1b[2J"))
    logger.warning("%(name)s", {"name": "c\x07"})
    logger.warning("in the text itself \x1b, 100%")
    assert stream.getvalue() == (
        "WARNING a\\nERROR b: 3 of 2.5 \\x1b[2J\nnext\nWARNING c\\x07\nWARNING in the text itself \\x1b, 100%\n"
    )


def test_a_traceback_in_the_log_shows_escapes() -> None:
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        shown = PrintableFormatter().formatException(sys.exc_info())
    assert shown.endswith("ValueError: \\x1b[2J")


def test_the_console_shows_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("kinema")
    before = logger.handlers[:], logger.level
    try:
        show_on_console()
        logger.warning("the file %s", "\x1b]0;x\x07")
    finally:
        logger.handlers[:], level = before
        logger.setLevel(level)
    assert r"the file \x1b]0;x\x07" in capsys.readouterr().err
