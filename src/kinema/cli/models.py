"""`kinema models`: what can be trained."""

from typing import Annotated

import typer

from kinema.cli.options import Json
from kinema.cli.output import print_json, print_table


def models(
    pattern: Annotated[str, typer.Argument(help="Names to show, e.g. '*r50*'.")] = "*",
    as_json: Json = False,
) -> None:
    """List the models that `kinema train --model` knows."""
    from kinema.errors import ConfigError
    from kinema.models import zoo

    names = zoo.names(pattern)
    if not names:
        raise ConfigError(f"no model is called like {pattern!r}; there are: {', '.join(zoo.names())}")
    cards = [zoo.card(name) for name in names]
    if as_json:
        print_json([card.as_dict() for card in cards])
        return
    rows = [
        [
            card.name,
            f"{card.params_millions:.2f}",
            f"{card.input.num_frames} frames of {card.input.size} px",
            card.source,
        ]
        for card in cards
    ]
    print_table("Models", ["name", "params (M)", "input", "source"], rows)
