"""`run.json`: the config of a run as data, which is compared when the run is resumed, and what it was made of.

Reading it runs nothing. The keys beside `config` are those of `kinema.runs.description.describe_run`;
`sessions` lists what is not the same in each start of a run that was resumed, the last one last.

The config holds what JSON can: tuples are lists, keys are texts, paths are texts, numbers that are not
finite are the texts "inf", "-inf" and "nan", a class or function is the text "module.Name", any
other object the text "<module.Class>". It is no config to train from: that is `config.py`, which
nothing but an explicit `kinema train config.py` runs.
"""

import json
import logging
import math
import os
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any

from kinema import __version__
from kinema.config.text import parse_config_text
from kinema.errors import ConfigError
from kinema.files import read_bytes, write_text
from kinema.runs.layout import SETTINGS_FILE

_MOST_BYTES = 64 << 20  # of a file that is read

logger = logging.getLogger("kinema")

FORMAT = 1
OF_A_SESSION = ("started", "command", "folder", "world_size", "device", "versions", "host", "git")


def as_data(value: Any) -> Any:
    """A config, or a value of one, as `run.json` holds it."""
    if isinstance(value, Mapping):
        return {str(key): as_data(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [as_data(entry) for entry in value]
    if isinstance(value, set | frozenset):
        return sorted((as_data(entry) for entry in value), key=str)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, type | FunctionType | BuiltinFunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


def flat(config: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts and lists as values by dotted path: `train_cfg.max_epochs`."""
    if isinstance(config, Mapping):
        entries: Iterable[tuple[Any, Any]] = config.items()
    elif isinstance(config, list) and any(isinstance(entry, Mapping | list) for entry in config):
        entries = enumerate(config)
    else:
        return {prefix: config}
    values: dict[str, Any] = {}
    for key, value in entries:
        values |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return values


def write_settings(work_dir: Path, config: Mapping[str, Any], description: Mapping[str, Any] | None = None) -> None:
    """Write the config of a run into its work folder, and what else the run was made of, whole or not at all.

    Args:
        work_dir: the work folder.
        config: the resolved config.
        description: see `kinema.runs.description.describe_run`. The starts that `work_dir` knows
            already stay in `sessions`.
    """
    content = {"format": FORMAT, "kinema_version": __version__, **(description or {})}
    if description:
        earlier = (read_run(work_dir) or {}).get("sessions")
        this = {key: value for key, value in description.items() if key in OF_A_SESSION}
        content["sessions"] = [*(earlier if isinstance(earlier, list) else []), this]
    text = json.dumps({**content, "config": as_data(config)}, indent=1)
    write_text(work_dir / SETTINGS_FILE, text + "\n")


def read_run(work_dir: Path) -> dict[str, Any] | None:
    """Everything that `run.json` says; None when there is none, or when it cannot be read."""
    try:
        content = json.loads(_text_of(work_dir / SETTINGS_FILE))
    except (OSError, ValueError, RecursionError, MemoryError):
        return None
    return content if isinstance(content, dict) else None


def _text_of(file: Path) -> str:
    content = read_bytes(file, _MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise ValueError(f"is larger than {_MOST_BYTES} bytes")
    return content.decode()


def read_settings(work_dir: Path) -> dict[str, Any] | None:
    """The config that the run in a work folder began with, as data.

    A work folder without `run.json` has a `config.py` that is read as text: nothing in it runs.

    Returns:
        None when there is none, or when it cannot be read, which is logged: a run can be resumed
        without.
    """
    file = work_dir / SETTINGS_FILE
    try:
        if file.is_file():
            content = json.loads(_text_of(file))
            config = content.get("config") if isinstance(content, dict) else None
            if not isinstance(config, dict):
                raise ValueError("it holds no config")
            return config
        file = work_dir / "config.py"
        if not file.is_file():
            return None
        plain: dict[str, Any] = as_data(parse_config_text(_text_of(file), str(file)))
        return plain
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, MemoryError, ConfigError) as error:
        problem = error if isinstance(error, ConfigError) else f"{file}: {error}"
        logger.warning("cannot compare the settings with those that the run began with: %s", problem)
        return None
