"""What the pages of docs/ and README.md print can be typed: commands with their options, imports, paths of files."""

import ast
import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from kinema.cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def parse(command: Any, words: list[str], name: str = "kinema") -> None:
    """Read words as the command line does, but for what its values mean."""
    context = command.context_class(command, info_name=name)
    _, rest, _ = command.make_parser(context).parse_args(list(words))
    if hasattr(command, "get_command"):  # a group
        inner = command.get_command(context, rest[0])
        assert inner is not None, f"{name} has no command {rest[0]}"
        parse(inner, rest[1:], f"{name} {rest[0]}")


def commands() -> list[str]:
    lines = [line for page in PAGES for block in blocks(page, "bash") for line in block.splitlines()]
    return sorted({line[line.index("kinema ") :] for line in lines if re.match(r"(\S+.* \| )?kinema ", line)})


@pytest.mark.parametrize("line", commands())
def test_every_command_has_the_options_that_are_shown(line: str) -> None:
    parse(typer.main.get_command(app), shlex.split(line, comments=True)[1:])


def test_a_wrong_option_or_command_is_seen() -> None:
    command = typer.main.get_command(app)
    with pytest.raises(Exception, match="--modle"):
        parse(command, ["train", "clips", "--modle", "x3d_s"])
    with pytest.raises(AssertionError, match="kinema has no command trian"):
        parse(command, ["trian", "clips"])


def test_every_import_leads_to_what_it_names() -> None:
    missing = []
    for page in PAGES:
        for node in (node for block in blocks(page, "python") for node in ast.walk(ast.parse(block))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kinema":
                module = importlib.import_module(str(node.module))
                names = [alias.name for alias in node.names if not hasattr(module, alias.name)]
                missing += [f"{page.name}: {node.module}.{name}" for name in names]
    assert missing == []


def test_every_file_that_is_named_is_there() -> None:
    """Not those of MMAction2's folders `tools` and `demo`, nor what an example of a page adds."""
    missing = []
    for page in PAGES:
        text = re.sub(r"^(`\S+`:\n\n)?```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        for path in re.findall(r"`(?!tools/|demo/)((?:\w+/)+\w+\.py)`", text):
            if not any((ROOT / folder / path).exists() for folder in ("", "src", "src/kinema")):
                missing.append(f"{page.name}: {path}")
    assert missing == []
