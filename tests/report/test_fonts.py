"""Fonts for letters that matplotlib's own lacks."""

import logging
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from kinema.report import fonts
from kinema.report.annotated_video import text_mask
from kinema.report.fonts import OWN_FONT, fonts_of

LETTER, ABSENT = "\U00012400", "\U00012401"  # cuneiform


@pytest.fixture
def font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A font with one letter, a full square."""
    pen = TTGlyphPen(None)
    for place, move in (((0, 0), pen.moveTo), ((0, 900), pen.lineTo), ((900, 900), pen.lineTo), ((900, 0), pen.lineTo)):
        move(place)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(LETTER): "square"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (500, 0), "square": (1000, 0)})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Made Squares", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    path = tmp_path / "squares.ttf"
    builder.save(path)
    known = [entry for entry in font_manager.fontManager.ttflist if entry.name == OWN_FONT]
    entries = [*known, font_manager.ttfFontProperty(font_manager.get_font(str(path)))]
    fonts._further_fonts.cache_clear()
    monkeypatch.setattr(font_manager.fontManager, "ttflist", entries)
    return "Made Squares"


def test_a_font_of_the_machine_draws_what_the_own_font_lacks(font: str, caplog: pytest.LogCaptureFixture) -> None:
    assert fonts_of("jump", "grüßen …", "прыжок") == [OWN_FONT]
    assert fonts_of("jump", f"{LETTER} run") == [OWN_FONT, font]
    (square,) = {*text_mask(LETTER, 40, 20).max(axis=0)[2:10]}
    assert square == 255, "filled, unlike a box for a missing letter"
    assert not caplog.records


@pytest.mark.usefixtures("font")
def test_letters_that_no_font_has_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert fonts_of(f"{ABSENT}1", "\n\u200b\ufe0f") == fonts_of(ABSENT) == [OWN_FONT]
    (record,) = caplog.records
    assert f"no font of this machine has the letters {ABSENT} of class names" in record.getMessage()
    assert np.any(text_mask(ABSENT, 40, 20)), "a box"
