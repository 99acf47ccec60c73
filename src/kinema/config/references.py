"""`_base_`, and references to inherited values: `{{_base_.model.depth}}`."""

import re
from collections.abc import Mapping
from typing import Any

from kinema.errors import ConfigError

BASE_KEY = "_base_"
BASE_REFERENCE = re.compile(r"\{\{\s*_base_\.([\w.]+)\s*\}\}")


def inherited_value(base: Mapping[str, Any], dotted: str, where: str) -> Any:
    """An inherited value by its dotted path.

    Raises:
        ConfigError: there is none.
    """
    value: Any = base
    for part in dotted.split("."):
        try:
            value = value[int(part)] if isinstance(value, list | tuple) else value[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise ConfigError(f"{where}: there is no inherited value {BASE_KEY}.{dotted}") from None
    return value
