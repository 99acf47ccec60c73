"""`DictAction`: overrides of a config on the command line, with the grammar of `kinema.config`.

Quotes around a whole value mean nothing, and `none` is a text, as in OpenMMLab's tools.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from kinema.config import parse_override
from kinema.errors import ConfigError


class DictAction(argparse.Action):
    """Collects arguments `a.b=value` into a dict `{"a.b": value}`; repeated options add up.

    Use: `parser.add_argument("--cfg-options", nargs="+", action=DictAction)`, then
    `cfg.merge_from_dict(args.cfg_options)`.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        options = dict(getattr(namespace, self.dest, None) or {})
        for text in [values] if isinstance(values, str) else values or ():
            try:
                key, value = parse_override(_without_quotes(text))
            except ConfigError as error:
                parser.error(f"argument {option_string}: {error}")
            options[key] = "none" if value is None and text.endswith("none") else value
        setattr(namespace, self.dest, options)


def _without_quotes(text: str) -> str:
    """`key="value"` as `key=value`, unless there are further quotes in the value."""
    key, equals, value = text.partition("=")
    value = value.strip()
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" and value[0] not in value[1:-1]
    return key + equals + (value[1:-1] if is_quoted else value)
