"""`kinema config`: what a config file says in the end, and where each value comes from."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinema.cli.options import Json
from kinema.cli.output import print_json, print_line, print_lines, print_note
from kinema.cli.training_options import Overrides
from kinema.memory import collections_paused

if TYPE_CHECKING:
    from kinema.config import Config

EPILOG = """Examples:

kinema config tsm.py

kinema config tsm.py --set model.backbone.depth=101 --origin

kinema config tsm.py --check

kinema config tsm.py --as-recipe > tsm_recipe.py
"""


def config(
    file: Annotated[
        Path, typer.Argument(help="A config of Kinema or MMAction2: .py, .yaml, .yml or .json.", metavar="FILE")
    ],
    overrides: Overrides = None,
    origin: Annotated[
        bool, typer.Option("--origin", help="Print a line a value, with the file and line where it was written.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Look up all parts and keywords of a run, build nothing, and print nothing.")
    ] = False,
    as_recipe: Annotated[
        bool,
        typer.Option("--as-recipe", help="Print a Python file that trains any clips in the same way: a recipe."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Print a config with all that it inherits, as Python.

    The file is executed, as for a training. What it prints reads back equal.
    """
    from kinema.config import Config, parse_override

    if sum((origin, check, as_recipe)) > 1:
        raise typer.BadParameter("--origin, --check and --as-recipe are three questions: ask one at a time")
    resolved = Config.fromfile(file)
    resolved.merge_from_dict(dict(map(parse_override, overrides or [])))
    if check:
        _check(resolved, file, as_json=as_json)
    elif origin:
        _print_origins(resolved, as_json=as_json)
    elif as_recipe:
        with collections_paused():
            import kinema.engine  # noqa: F401  # the parts of a run, which the registries know then
            from kinema.recipes.conversion import recipe_text

        text = recipe_text(resolved, file.name)
        print_json({"recipe": text}) if as_json else print_lines(text.rstrip("\n"))
    elif as_json:
        from kinema.runs.settings_file import as_data

        print_json(as_data(resolved.to_dict()))
    else:
        print_lines(resolved.pretty_text.rstrip("\n"))


def _check(resolved: "Config", file: Path, *, as_json: bool) -> None:
    with collections_paused():
        import kinema.engine  # noqa: F401  # the parts of a run, which the registries know then
        from kinema.config.checking import check_parts, problems_of
        from kinema.engine.plan import DEFAULT_TYPES, SECTIONS
    from kinema.registry import init_default_scope

    if resolved.get("default_scope"):
        init_default_scope(resolved["default_scope"])
    if not as_json:
        check_parts(resolved, DEFAULT_TYPES, SECTIONS)
        print_note(f"{file}: all parts and keywords are known")
        return
    places = resolved.places()
    problems = [
        {"key": problem.path, "place": None if places is None else places.of(problem.path), "problem": problem.message}
        for problem in problems_of(resolved, DEFAULT_TYPES, SECTIONS)
    ]
    print_json({"problems": problems})
    if problems:
        raise typer.Exit(1)


def _print_origins(resolved: "Config", *, as_json: bool) -> None:
    from kinema.runs.settings_file import as_data

    places = resolved.places()
    assert places is not None  # it comes from a file
    values = places.values(resolved.to_dict())
    if as_json:
        print_json({key: {"value": as_data(value), "origin": place} for key, value, place in values})
        return
    lines = [(f"{key} = {_shown(value)}", _relative(place)) for key, value, place in values]
    width = min(max((len(left) for left, _ in lines), default=0), 76)
    for left, right in lines:
        print_line(f"{left:<{width}}  {right}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _relative(place: str) -> str:
    """A place with its file from the current folder, where it lies below."""
    folder = f"{Path.cwd()}/"
    return place.removeprefix(folder)
