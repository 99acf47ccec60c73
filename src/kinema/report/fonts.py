"""Fonts for class names: matplotlib's own has no Chinese, Japanese or Korean letters and few pictures."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from kinema.printable import printable

LONGEST_NAME = 32  # characters of a class or a video beside its row
OWN_FONT = "DejaVu Sans"  # comes with matplotlib
_MOST_FONTS = 2000  # files that are opened to look for letters
_MOST_SHOWN = 8  # letters of a message
_VARIANTS = range(0xFE00, 0xFE10)  # say how the letter before is drawn

_log = logging.getLogger(__name__)


def short_name(name: str, longest: int = LONGEST_NAME) -> str:
    """A name that fits beside its row; of a long one the middle is left out."""
    text = printable(name)
    if len(text) <= longest:
        return text
    half = (longest - 1) // 2
    return f"{text[: longest - 1 - half]}…{text[-half:]}"


@contextmanager
def drawing_names(*names: str, is_svg: bool) -> Iterator[None]:
    """Draw with fonts that have the letters of these names; a letter that no font has is a box.

    Args:
        names: as they are drawn.
        is_svg: text stays text, which can be searched, and the browser has letters of every script.
    """
    fonts = fonts_of(*([] if is_svg else names))
    with mpl.rc_context({"svg.fonttype": "none", "font.family": fonts}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def fonts_of(*texts: str) -> list[str]:
    """Names of fonts that together have the letters of some texts, for matplotlib's `font.family`.

    Letters that no installed font has are logged, once, and drawn as boxes.

    Args:
        texts: as they are drawn.

    Returns:
        Matplotlib's own font, and others of this machine where letters are missing in it.
    """
    wanted = {letter for text in texts for letter in text if ord(letter) > 126}
    return [OWN_FONT, *_further_fonts(frozenset(wanted - _letters_of(font_manager.findfont(OWN_FONT))))]


@lru_cache(64)
def _further_fonts(missing: frozenset[str]) -> tuple[str, ...]:
    """Fonts that have the letters which the own font lacks, those with most of them first."""
    chosen: list[str] = []
    left = {letter for letter in missing if letter.isprintable() and ord(letter) not in _VARIANTS}
    fonts = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist[:_MOST_FONTS]} if left else {}
    letters = {name: _letters_of(path) & left for name, path in sorted(fonts.items())}
    while left and letters:
        best = max(letters, key=lambda name: len(letters[name] & left))
        if not letters[best] & left:
            break
        chosen.append(best)
        left -= letters[best]
    if left:
        shown = " ".join(sorted(left)[:_MOST_SHOWN]) + (" ..." if len(left) > _MOST_SHOWN else "")
        _log.warning(
            "no font of this machine has the letters %s of class names, so pictures show boxes in their places:"
            " install one that has them, such as Noto Sans CJK (.svg files need none)",
            shown,
        )
    return tuple(chosen)


@lru_cache(_MOST_FONTS)
def _letters_of(path: str) -> frozenset[str]:
    """The letters that a file of a font has; none where it cannot be drawn, as coloured pictures cannot."""
    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()
