"""What pyproject.toml declares is what the source imports."""

import ast
import re
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from kinema.cli.doctor import _OPTIONAL, _REQUIRED
from source_imports import SOURCE, imports_of

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "yaml": "pyyaml",
    "PIL": "pillow",
}  # where they have another name than the module
WITHOUT_EXTRA = {"torchvision", "kornia"}  # used where a user's own code brings them


def name_of(requirement: str) -> str:
    return re.split(r"[<>=;\[ ]", requirement)[0]


REQUIRED = {name_of(requirement) for requirement in PROJECT["dependencies"]}
EXTRAS = {
    extra: {name_of(requirement) for requirement in requirements}
    for extra, requirements in PROJECT["optional-dependencies"].items()
    if extra != "dev"
}


def imported_distributions() -> set[str]:
    """Distributions of other projects that an import statement names, anywhere in the source."""
    modules = set()
    for file in SOURCE.rglob("*.py"):
        for node in imports_of(file):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif not node.level:
                modules.add(str(node.module).partition(".")[0])
    own = {"kinema", "mmaction", "mmengine", "mmcv"}
    return {DISTRIBUTIONS.get(module, module) for module in modules - sys.stdlib_module_names - own}


def test_every_import_is_declared_and_everything_declared_is_imported() -> None:
    imported = imported_distributions()
    assert imported - REQUIRED <= set().union(*EXTRAS.values()) | WITHOUT_EXTRA
    assert imported >= REQUIRED


@cache
def source_text() -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in SOURCE.rglob("*.py"))


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_is_used(extra: str) -> None:
    for distribution in EXTRAS[extra]:
        assert re.search(rf'import {distribution}\b|"{distribution}["./]', source_text()), (
            f"nothing imports {distribution}"
        )


def test_doctor_shows_what_is_declared() -> None:
    assert set(_REQUIRED) == REQUIRED
    assert set(_OPTIONAL.values()) == set(EXTRAS)
    assert all(package in EXTRAS[extra] for package, extra in _OPTIONAL.items())
