"""Configs that OpenMMLab's packages install: `package::folder/config.py`, and what their model indexes say of them."""

import importlib.machinery
from pathlib import Path
from typing import Any

import yaml

from kinema.compat.parts.checkpoints import load_checkpoint
from kinema.config import Config
from kinema.errors import ConfigError
from kinema.registry import MODELS


def package_and_path(name: str) -> tuple[str, str]:
    """`"mmdet::folder/config.py"` -> `("mmdet", "folder/config.py")`.

    Raises:
        ConfigError: it is of another form.
    """
    package, colons, path = name.partition("::")
    if not colons or not package.isidentifier() or not path or path.startswith(":"):
        raise ConfigError(f"expected package::folder/config.py, got {name!r}")
    return package, path


def installed_config(package_path: str, path: str) -> str:
    """The file of a config below a package's folder; `.py` may be left out.

    Raises:
        ConfigError: there is none.
    """
    for folder in (".mim/configs", "configs"):
        file = Path(package_path, folder, path)
        for candidate in (file, file.with_name(f"{file.name}.py")):
            if candidate.is_file():
                return str(candidate)
    raise ConfigError(f"{package_path} has no config {path}")


def index_entry(package_path: str, path: str) -> dict[str, Any]:
    """What the model index of a package says of the model that a config trains.

    Args:
        package_path: folder of the package, with `.mim/model-index.yml`.
        path: of the config, as in `package::path`.

    Raises:
        ConfigError: there is no index, or the config is not in it.
    """
    folder = Path(package_path, ".mim")
    index = folder / "model-index.yml"
    if not index.is_file():
        raise ConfigError(f"{package_path} has no {index.relative_to(package_path)}")
    wanted = path.removesuffix(".py")
    for name in _read(index).get("Import", []):
        content = _read(folder / name)
        for model in content.get("Models", []) if isinstance(content, dict) else content:
            config = model.get("Config")
            if isinstance(config, str) and config.removeprefix("configs/").removesuffix(".py") == wanted:
                entry: dict[str, Any] = model
                return entry
    raise ConfigError(f"no model in the index of {package_path} has the config {path}")


def get_config(cfg_path: str, pretrained: bool = False) -> Config:
    """Read a config of an installed package.

    Args:
        cfg_path: `package::folder/config.py`.
        pretrained: set `model_path` to the address of its weights.

    Raises:
        ConfigError: there is no such package or config, or no weights.
    """
    package, path = package_and_path(cfg_path)
    spec = importlib.machinery.PathFinder.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"{cfg_path}: there is no package {package!r}")
    folder = next(iter(spec.submodule_search_locations))
    config = Config.fromfile(installed_config(folder, path))
    if pretrained:
        weights = index_entry(folder, path).get("Weights")
        if not isinstance(weights, str):
            raise ConfigError(f"{cfg_path}: the model index has no weights of it")
        config["model_path"] = weights
    return config


def get_model(cfg_path: str, pretrained: bool = False, **kwargs: Any) -> Any:
    """Build the model of a config of an installed package.

    Args:
        cfg_path: `package::folder/config.py`.
        pretrained: load its weights.
        kwargs: arguments of the model that the config does not set.

    Raises:
        ConfigError: as `get_config`.
    """
    config = get_config(cfg_path, pretrained)
    model = MODELS.build(config["model"], default_args=kwargs)
    if pretrained:
        load_checkpoint(model, config["model_path"], map_location="cpu")
    return model


def _read(file: Path) -> Any:
    if not file.is_file():
        raise ConfigError(f"there is no {file}")
    return yaml.safe_load(file.read_text(encoding="utf-8")) or {}
