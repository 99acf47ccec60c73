"""Imports point up the list of design: small services first, then the stages of the data, then what uses everything."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from source_imports import SOURCE, Import, imports_of

# Each sees those before it.
ORDER = [
    *(
        "errors",
        "arguments",
        "printable",
        "cores",
        "memory",
        "files",
        "spelling",
        "real_modules",
        "instances",
        "openmmlab",
    ),
    *("registry", "config", "structures"),
    *("launching", "peers", "distributed", "randomness"),
    *("logs", "progress"),
    *(
        "video",
        "transforms",
        "datasets",
        "evaluation",
        "checkpoints",
        "models",
        "optim",
        "parallel",
        "runs",
        "visualization",
        "diagnosis",
        "training",
        "hooks",
        "engine",
        "inference",
    ),
    *("report", "serve"),
]
SEES_EVERYTHING = {"__init__", "__main__", "recipes", "cli", "compat"}


def imported_modules(nodes: Iterable[Import], module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Line and full name of what these statements of a module import."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        else:
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{origin}.{alias.name}"


def wrong_imports(source: Path) -> list[str]:
    """A sentence for each import under `source` (the folder `kinema`) that points down the list."""
    sentences = []
    for file in sorted(source.rglob("*.py")):
        place = file.relative_to(source).with_suffix("")
        own = place.parts[0]
        if own in SEES_EVERYTHING:
            continue
        if own not in ORDER:
            sentences.append(f"{place}.py: {own} is not in the list of the design")
            continue
        is_package = place.name == "__init__"
        module = ".".join(("kinema", *(place.parts[:-1] if is_package else place.parts)))
        for line, name in imported_modules(imports_of(file), module, is_package):
            root, _, rest = name.partition(".")
            part = rest.partition(".")[0]
            if root != "kinema" or part == own or part not in {*ORDER, *SEES_EVERYTHING}:
                continue
            if part in SEES_EVERYTHING or ORDER.index(part) > ORDER.index(own):
                sentences.append(f"{place}.py:{line}: {own} must not import {part}, which stands below it")
    return sentences


def test_imports_point_up_the_list() -> None:
    sentences = wrong_imports(SOURCE)
    assert not sentences, "\n".join(sentences)


def imports_of_modules() -> dict[str, set[str]]:
    """Module of the source -> those of the source that it imports, in functions and for types, too."""
    files = {file.relative_to(SOURCE.parent).with_suffix(""): file for file in SOURCE.rglob("*.py")}
    modules = {".".join(place.parts).removesuffix(".__init__"): file for place, file in files.items()}
    imports = {}
    for module, file in modules.items():
        names = [name for _, name in imported_modules(imports_of(file), module, file.stem == "__init__")]
        imports[module] = {name if name in modules else name.rpartition(".")[0] for name in names} & set(modules)
        imports[module].discard(module)
    return imports


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Modules that import nothing that is left are taken away until none is."""
    imports = imports_of_modules()
    assert len(imports) > 200
    while leaves := [module for module, others in imports.items() if not others & set(imports)]:
        for module in leaves:
            del imports[module]
    assert imports == {}


@pytest.mark.parametrize(
    ("file", "code", "expected"),
    [
        ("video/a.py", "import kinema.models\n", ["video/a.py:1: video must not import models, which stands below it"]),
        (
            "video/a.py",
            "def f():\n    from kinema.engine import x\n",
            ["video/a.py:2: video must not import engine, which stands below it"],
        ),
        (
            "video/a.py",
            "from kinema import transforms\n",
            ["video/a.py:1: video must not import transforms, which stands below it"],
        ),
        (
            "video/a.py",
            "from ..models.base import x\n",
            ["video/a.py:1: video must not import models, which stands below it"],
        ),
        (
            "video/__init__.py",
            "from ..cli import x\n",
            ["video/__init__.py:1: video must not import cli, which stands below it"],
        ),
        (
            "errors.py",
            "import kinema.registry as r\n",
            ["errors.py:1: errors must not import registry, which stands below it"],
        ),
        ("helpers.py", "", ["helpers.py: helpers is not in the list of the design"]),
        (
            "models/a.py",
            "from kinema.video import x\nfrom . import base\nfrom kinema import __version__\nimport torch\n",
            [],
        ),
        ("cli/a.py", "from kinema.serve import x\n", []),
    ],
)
def test_an_import_that_points_down_is_named(tmp_path: Path, file: str, code: str, expected: list[str]) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(code)
    assert wrong_imports(tmp_path) == expected
