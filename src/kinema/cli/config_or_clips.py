"""What `CONFIG|DATA` on the command line means: a config file, or clips that a recipe makes a config for."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinema.errors import ConfigError
from kinema.memory import collections_paused

if TYPE_CHECKING:
    from kinema.config import Config

DEFAULT_MODEL = "compact3d"
CONFIG_SUFFIXES = (".py", ".yaml", ".yml", ".json")


def is_config(path: Path) -> bool:
    """Is this a config file? Configs and annotations may both be JSON."""
    from kinema.datasets.annotations.json_files import holds_clips

    if path.suffix not in CONFIG_SUFFIXES or path.is_dir():
        return False
    return path.suffix != ".json" or not holds_clips(path)


def read_config(source: Path, *, model: str | None = None, **settings: Any) -> "Config":
    """The config in a file, or that of training on clips.

    Args:
        source: a config file, or clips as `classification` takes them.
        model: name of a model for clips; None: the default.
        settings: further keywords of `classification`, for clips.

    Raises:
        ConfigError: a model is named for a config file, or the file is wrong.
        AnnotationError: the clips are wrong.
    """
    from kinema.config import Config

    with collections_paused():
        from kinema.recipes import classification
    from kinema.registry import init_default_scope

    if not is_config(source):
        return classification(source, model=model, **settings)
    if model is not None:
        raise ConfigError(f"{source}: a config says how clips are read: --model goes with clips only")
    config = Config.fromfile(source)
    if config.get("default_scope"):
        init_default_scope(config["default_scope"])
    return config
