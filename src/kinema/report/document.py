"""Pages: HTML files that need nothing else, made of the templates in `templates/`."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
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

    The page may load nothing, and of scripts runs `script` only: its content security policy
    forbids all else, whatever the values hold.

    Args:
        path: of the HTML file; its folder is made.
        template: name of a file in `templates/`; the script of the same name with `.js`, where
            there is one, is its script.
        values: what the template names. Text, however hostile, is shown as it is.

    Returns:
        `path`.
    """
    script = _script(template.replace(".html", ".js"))
    page = _templates.get_template(template).render(
        version=__version__, script=script, policy=_policy(script), **values
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)
    return path


@cache
def _script(name: str) -> str:
    file = files("kinema.report") / "templates" / name
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    scripts = f"'sha256-{digest}'" if script else "'none'"
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {scripts}; base-uri 'none'"
