"""Models by name, for inferencers: those of an MMAction2 folder's index, and those of Kinema's zoo."""

import re
from pathlib import Path
from typing import Any

import yaml

from kinema.config import Config
from kinema.errors import ConfigError
from kinema.models import zoo
from kinema.spelling import nearest

_INDEX = "model-index.yml"  # in a copy of MMAction2, beside `configs/`

# MMAction2's aliases of its configs, and the models of the zoo with their weights.
_ALIASES = {"tsn": "tsn_r50", "i3d": "i3d_r50_nl_dot_product", "slowfast": "slowfast_r50_8x8"}


def named_model(name: str) -> tuple[Config, str | None]:
    """Config and published weights of a model.

    Args:
        name: a config's name, or its alias, in the index of a copy of MMAction2 in the working
            folder; the name of a config whose weights the zoo knows; or a name of the zoo.

    Raises:
        ConfigError: there is no such model; the nearest names are given.
    """
    for entry in _entries():
        aliases = [str(alias).lower() for alias in entry.get("Alias") or ()]
        if name == entry["Name"] or name.lower() in aliases:
            return Config.fromfile(entry["Config"]), entry.get("Weights")
    by_config = {
        card.result.config: card.name for card in map(zoo.card, zoo.names()) if card.result and card.result.config
    }
    known = by_config.get(name) or _ALIASES.get(name.lower()) or name
    if known in zoo.names():
        return _config_of_zoo(known)
    near = nearest(name, [*by_config, *_ALIASES, *zoo.names()])
    hint = f"did you mean {' or '.join(near)}?" if near else "`kinema models` lists names"
    raise ConfigError(f"there is neither a config file nor a model {name!r}: {hint}")


def list_names(pattern: str = ".*") -> list[str]:
    """Names that `named_model` knows and that match a regular expression from their beginning."""
    known = [entry["Name"] for entry in _entries()]
    known += [card.result.config for card in map(zoo.card, zoo.names()) if card.result and card.result.config]
    return [name for name in dict.fromkeys([*known, *zoo.names()]) if re.match(pattern, name)]


def _config_of_zoo(name: str) -> tuple[Config, str | None]:
    card = zoo.card(name)
    cfg = Config(
        {
            "model": zoo.model_config(name),
            "test_pipeline": zoo.video_pipeline(card),
            "visualizer": {"type": "ActionVisualizer"},
        }
    )
    return cfg, card.weights.url if card.weights else None


def _entries() -> list[dict[str, Any]]:
    """What the index in the working folder lists, its `Config` as a path; nothing without an index."""
    index = Path(_INDEX)
    if not index.is_file():
        return []
    files = (yaml.safe_load(index.read_text(encoding="utf-8")) or {}).get("Import") or []
    entries: list[dict[str, Any]] = []
    for file in map(Path, files):
        if file.is_file():
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
            entries += content["Models"] if isinstance(content, dict) else content
    return entries
