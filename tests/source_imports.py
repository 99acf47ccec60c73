"""The import statements of the source, which several tests look at."""

import ast
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src" / "kinema"
Import = ast.Import | ast.ImportFrom


@cache
def imports_of(file: Path) -> tuple[list[Import], list[Import]]:
    """All import statements of a file, and those that run while it is imported itself."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    nodes = [node for node in ast.walk(tree) if isinstance(node, Import)]
    return nodes, [node for node in tree.body if isinstance(node, Import)]
