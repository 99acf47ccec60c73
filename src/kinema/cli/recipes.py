"""`kinema recipes`: how the published networks were trained, and where that is written."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinema.cli.options import Json
from kinema.cli.output import print_json, print_line, print_lines, print_table

if TYPE_CHECKING:
    from kinema.recipes.recipe import Recipe

_LEGEND = """\
lr: learning rate, of SGD or AdamW, for so many clips a step of all processes together; it is
proportional to the clips of a step. drops: epochs after which it falls to a
tenth. One recipe in full: kinema recipes NAME; train with it: kinema train DATA
--recipe NAME"""

_ALWAYS = ("optimizer", "weight_decay", "clip", "mirrored")


def recipes(
    name: Annotated[str | None, typer.Argument(help="A recipe to show in full.", metavar="[NAME]")] = None,
    as_json: Json = False,
) -> None:
    """List the published training recipes that `kinema train --recipe` knows."""
    from kinema.recipes.published import RECIPES, named_recipe

    chosen = list(RECIPES.values()) if name is None else [named_recipe(name)]
    if as_json:
        print_json([_facts(recipe) for recipe in chosen])
    elif name is not None:
        for key, value in _notable(chosen[0]).items():
            print_line(f"{key:<18}{_shown(value)}")
    else:
        columns = ["name", "model", "lr", "schedule", "epochs", "crops", "starts from", "source"]
        print_table("", columns, [_row(recipe) for recipe in chosen])
        print_lines(_LEGEND, to_stderr=True)


def _notable(recipe: "Recipe") -> dict[str, Any]:
    """What a recipe says: all numbers that every training has, and what is unlike most."""
    from dataclasses import fields

    usual = {part.name: part.default for part in fields(recipe) if part.name not in _ALWAYS}
    return {key: value for key, value in _facts(recipe).items() if value not in (None, "", [], {}, usual.get(key))}


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {entry}" for name, entry in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _row(recipe: "Recipe") -> list[str]:
    shape = f"drops {', '.join(map(str, recipe.drops))}" if recipe.drops else "cosine"
    return [
        recipe.name,
        recipe.models[0],
        f"{'' if recipe.optimizer == 'SGD' else recipe.optimizer + ' '}{recipe.lr:g} / {recipe.batch}",
        f"warm-up {recipe.warmup}, {shape}" if recipe.warmup else shape,
        "as clips need" if recipe.epochs is None else str(recipe.epochs),
        recipe.augmentation + (", mirrored" if recipe.mirrored else ""),
        recipe.start or "scratch",
        recipe.source,
    ]


def _facts(recipe: "Recipe") -> dict[str, Any]:
    from dataclasses import asdict

    facts = asdict(recipe)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in facts.items()}
