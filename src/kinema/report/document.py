"""Pages: HTML files that need nothing else, made of the templates in `templates/`."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from kinema import __version__
from kinema.files import write_text
from kinema.printable import printable


def _shown(value: Any) -> Any:
    """What a template shows of a value: of plain text, control characters and marks that turn text as escapes."""
    return printable(value, keep="\n\t") if isinstance(value, str) and not hasattr(value, "__html__") else value


# Every value is text, and escaped; what a template marks as `safe` is HTML of our own.
_templates = Environment(
    loader=PackageLoader("kinema.report"),
    autoescape=True,
    finalize=_shown,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_page(path: Path, template: str, **values: Any) -> Path:
    """Write a page.

    Args:
        path: of the HTML file; its folder is made.
        template: name of a file in `templates/`.
        values: what the template names. Text, however hostile, is shown as it is.

    Returns:
        `path`.
    """
    page = _templates.get_template(template).render(version=__version__, **values)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)
    return path
