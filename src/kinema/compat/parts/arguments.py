"""`DictAction`: overrides of a config on the command line, with the grammar of `kinema.config`.

As in OpenMMLab's tools quotes around a whole value mean nothing, `None` is written so alone, and
numbers are Python's (`1_000`).
"""

import argparse
import contextlib
from collections.abc import Sequence
from typing import Any

from kinema.config import parse_override
from kinema.errors import ConfigError


class DictAction(argparse.Action):
    """Collects arguments `a.b=value` into a dict `{"a.b": value}`; repeated options add up.

    Use: `parser.add_argument("--cfg-options", nargs="+", action=DictAction)`, then
    `cfg.merge_from_dict(args.cfg_options)`.

    Raises:
        ConfigError: an argument is no override; OpenMMLab's raises an AssertionError.
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
                key, value = parse_override(_without_quotes(text), scalar=_scalar)
            except ConfigError as error:
                raise ConfigError(f"argument {option_string}: {error}") from None
            options[key] = value
        setattr(namespace, self.dest, options)

    @staticmethod
    def _parse_int_float_bool(val: str) -> Any:
        """The number, bool or None that a text stands for; the text itself where it is none."""
        return _scalar(val)

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        """The list or tuple that a text stands for, or the single value."""
        return parse_override(f"value={_without_quotes(val)}", scalar=_scalar)[1]


def _scalar(text: str) -> Any:
    if text == "None":
        return None
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def _without_quotes(text: str) -> str:
    """`key="value"` as `key=value`, unless there are further quotes in the value."""
    key, equals, value = text.partition("=")
    value = value.strip()
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" and value[0] not in value[1:-1]
    return key + equals + (value[1:-1] if is_quoted else value)
