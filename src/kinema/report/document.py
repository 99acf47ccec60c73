"""The frame of every page: one HTML file that needs nothing else, for light and dark screens."""

import html
from pathlib import Path

from kinema import __version__
from kinema.files import write_text
from kinema.printable import printable

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; } .note { opacity: .7; margin-top: .2rem; }
"""


def write_document(path: Path, *, title: str, style: str, body: str) -> Path:
    """Write a page.

    Args:
        path: of the HTML file; its folder is made.
        title: plain text.
        style: CSS beyond that of all pages.
        body: HTML.

    Returns:
        `path`.
    """
    page = (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escaped(title)}</title><style>{_STYLE}{style}</style><body>{body}"
        f"<p class='note'>Written by Kinema {__version__}.</p></body></html>\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)
    return path


def escaped(text: str) -> str:
    """Plain text as HTML, also between quotes; control characters and marks that turn text are shown as escapes."""
    return html.escape(printable(text, keep="\n\t"))
