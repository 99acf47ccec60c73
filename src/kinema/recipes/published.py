"""The published training recipe of each family, as facts; `kinema.recipes.training` makes configs of them.

The numbers are those of the OpenMMLab config that each recipe names, except where `config` is empty:
there they are the paper's, or Kinema's own.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from kinema.errors import ConfigError
from kinema.recipes.published_convolutions import CONVOLUTIONS
from kinema.recipes.published_transformers import TRANSFORMERS
from kinema.recipes.recipe import Recipe
from kinema.spelling import suggestion

RECIPES: Mapping[str, Recipe] = {recipe.name: recipe for recipe in (*CONVOLUTIONS, *TRANSFORMERS)}


def find_recipe(name: str, model: str) -> Recipe:
    """The recipe of a name; "auto": the one that belongs to a model of the zoo.

    Raises:
        ConfigError: there is no such recipe, or none belongs to the model.
    """
    if name != "auto":
        return named_recipe(name)
    for recipe in RECIPES.values():
        if any(fnmatchcase(model, pattern) for pattern in recipe.models):
            return recipe
    raise ConfigError(
        f"no published recipe belongs to the model {model!r}: leave the recipe out, or name one; `kinema recipes` lists"
        " them"
    )


def model_of_recipe(name: str) -> str | None:
    """The model that a recipe trains when none is named; None for "auto", which has none of its own.

    Raises:
        ConfigError: there is no such recipe.
    """
    return None if name == "auto" else named_recipe(name).models[0]


def _names_instead(name: str) -> str:
    return suggestion(name, ["auto", *RECIPES], "`kinema recipes` lists all", by_family=True)


def named_recipe(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in RECIPES:
        raise ConfigError(f"no recipe is called {name!r}: {_names_instead(name)}")
    return RECIPES[name]
