"""The import statements of the source, which several tests look at."""

import ast
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "kinema"
Import = ast.Import | ast.ImportFrom


@cache
def imports_of(file: Path) -> list[Import]:
    """All import statements of a file, those in functions, too."""
    return [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, Import)]
