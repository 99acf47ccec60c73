"""Fonts for class names: matplotlib's own has no Chinese, Japanese or Korean letters and few pictures."""

import logging
from functools import lru_cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

OWN_FONT = "DejaVu Sans"  # comes with matplotlib
_MOST_FONTS = 2000  # files that are opened to look for letters
_MOST_SHOWN = 8  # letters of a message
_VARIANTS = range(0xFE00, 0xFE10)  # say how the letter before is drawn

_log = logging.getLogger(__name__)


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
