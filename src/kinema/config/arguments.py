"""Options of a command line for the values of a config."""

import argparse
from collections.abc import Mapping
from typing import Any


def add_options(parser: argparse.ArgumentParser, config: Mapping[str, Any], prefix: str = "") -> None:
    """Add an option `--a.b` for every text, number, bool and list of a config.

    A value of another type gets none.

    Args:
        parser: gets the options.
        config: the entries.
        prefix: dotted path of `config` in the whole, with a dot behind it.
    """
    for key, value in config.items():
        option = f"--{prefix}{key}"
        if isinstance(value, Mapping):
            add_options(parser, value, f"{prefix}{key}.")
        elif isinstance(value, bool):
            parser.add_argument(option, action="store_true")
        elif isinstance(value, str | int | float):
            parser.add_argument(option, type=type(value))
        elif isinstance(value, list | tuple) and value and isinstance(value[0], str | int | float):
            parser.add_argument(option, type=type(value[0]), nargs="+")
