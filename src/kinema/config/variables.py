"""Variables in the text of a config file: those that name the file, and those of the environment."""

import json
import os
import re
from pathlib import Path
from typing import Any

from kinema.config.overrides import parse_value
from kinema.errors import ConfigError

_ENVIRONMENT = re.compile(
    r"\{\{\s*(?P<quote>['\"]?)\s*\$(?P<name>\w+)\s*(?::(?P<default>(?:(?!\{\{|\}\}).){0,2000}))?(?P=quote)\s*\}\}"
)


def with_file_variables(text: str, path: Path) -> str:
    """`text` with `{{ fileDirname }}`, `{{ fileBasename }}` and their like filled in."""
    variables = {
        "fileDirname": path.parent.as_posix(),
        "fileBasename": path.name,
        "fileBasenameNoExtension": path.stem,
        "fileExtname": path.suffix,
    }
    names = "|".join(variables)
    return re.sub(rf"\{{\{{\s*({names})\s*\}}\}}", lambda match: variables[match[1]], text)


def with_environment(text: str, path: Path, used: dict[str, str]) -> str:
    """`text` with `{{$NAME:default}}` filled in.

    `{{'$NAME:default'}}`, without quotes around it, gives a number, a list or a bool.

    Args:
        text: of a config file.
        path: the file.
        used: the variables that were filled in are added here.

    Raises:
        ConfigError: the environment has no such variable, and there is no default, or an empty one.
    """

    def value_of(match: re.Match[str]) -> str:
        name, default = match["name"], match["default"]
        value = os.environ.get(name, (default or "").strip() or None)
        if value is None:
            line = text.count("\n", 0, match.start()) + 1
            raise ConfigError(
                f"{path}:{line}: the environment has no variable {name}: set it, or give a default by "
                f"{{{{${name}:default}}}}"
            )
        used[name] = value
        return _written(parse_value(value), path) if match["quote"] else value

    return _ENVIRONMENT.sub(value_of, text)


def _written(value: Any, path: Path) -> str:
    return repr(value) if path.suffix == ".py" else json.dumps(value)
