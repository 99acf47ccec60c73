"""How OpenMMLab's configs ask for training on several processes, in the terms of `choose_strategy`."""

from collections.abc import Mapping
from typing import Any

from kinema.errors import ConfigError

STRATEGIES = {
    "SingleDeviceStrategy": "single",
    "DDPStrategy": "ddp",
    "FSDPStrategy": "fsdp2",
    "MMDistributedDataParallel": "ddp",
    "DistributedDataParallel": "ddp",
    "MMFullyShardedDataParallel": "fsdp2",
}
_OF_PROCESSES = ("strategy", "model_wrapper_cfg", "sync_bn", "find_unused_parameters")
CONNECTION = ("backend", "timeout", "port", "init_backend")
OPTIONS = ("find_unused_parameters", "static_graph", "broadcast_buffers")


def strategy_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `choose_strategy` that a config names.

    Args:
        config: of a run, or with it as `cfg`. Read are `strategy`, a name or `dict(type=..., static_graph=True, ...)`;
            OpenMMLab's `model_wrapper_cfg`, `find_unused_parameters` and `sync_bn`. A wrapper that no
            strategy stands for is `wrapper`.

    Raises:
        ConfigError: a strategy or an option that there is not.
    """
    options: dict[str, Any] = {}
    whole = config.get("cfg") or {}  # in which OpenMMLab's runner looks for them
    config = {key: config.get(key) or whole.get(key) for key in _OF_PROCESSES}
    if config["sync_bn"]:
        options["sync_bn"] = config["sync_bn"]
    if config["find_unused_parameters"]:
        options["find_unused_parameters"] = True
    for key, kind in (("model_wrapper_cfg", "MMDistributedDataParallel"), ("strategy", "auto")):
        value = config[key]
        if not value:
            continue
        entry = {"type": value} if isinstance(value, str) else {"type": kind, **value}
        name = _name_of(entry["type"])
        if key == "model_wrapper_cfg" and _is_users(name, entry):
            options["wrapper"] = entry
            continue
        del entry["type"]
        options["name"] = _known(STRATEGIES.get(name, name), f"{key}.type" if isinstance(value, Mapping) else key)
        for option, setting in entry.items():
            if option not in OPTIONS:
                raise ConfigError(f"{key}.{option} is no option of a strategy: there are {', '.join(OPTIONS)}")
            options[option] = bool(setting)
    return options


def _name_of(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind)).rpartition(".")[2]


def _is_users(name: str, entry: Mapping[str, Any]) -> bool:
    """Is it a wrapper that no strategy of Kinema stands for? DDP with further arguments is one."""
    strategy = STRATEGIES.get(name)
    return strategy is None or (strategy == "ddp" and not {"type", *OPTIONS} >= entry.keys())


def _known(name: str, where: str) -> str:
    ours = ("auto", *dict.fromkeys(STRATEGIES.values()))
    if name not in ours:
        raise ConfigError(f"{where}={name!r} is no strategy of Kinema: there are {', '.join(ours)}")
    return name


def connection_of(env_cfg: Any) -> dict[str, Any]:
    """The arguments of `init_from_environment` that `env_cfg.dist_cfg` of a config names.

    Args:
        env_cfg: a config's, such as `dict(dist_cfg=dict(backend="nccl", timeout=1800))`.

    Raises:
        ConfigError: `dist_cfg` is no dict, has another key, or a value that does not fit.
    """
    settings = (env_cfg.get("dist_cfg") if isinstance(env_cfg, Mapping) else None) or {}
    where = "env_cfg.dist_cfg"
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{where} must be a dict such as dict(backend='nccl', timeout=1800), got {settings!r}")
    for key in settings:
        if key not in CONNECTION:
            raise ConfigError(f"{where} has no {key!r}: it takes {', '.join(CONNECTION)}")
    backend, timeout, port = (settings.get(key) for key in ("backend", "timeout", "port"))
    if backend is not None and not isinstance(backend, str):
        raise ConfigError(f"{where}.backend must be a name such as 'nccl' or 'gloo', got {backend!r}")
    if settings.get("init_backend", "torch") != "torch":
        raise ConfigError(f"{where}.init_backend must be 'torch', got {settings['init_backend']!r}")
    if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
        raise ConfigError(f"{where}.timeout must be seconds above 0, got {timeout!r}")
    if port is not None and not (isinstance(port, int) and 0 < port < 2**16):
        raise ConfigError(f"{where}.port must be a whole number from 1 to 65535, got {port!r}")
    given = {"backend": backend, "timeout_seconds": timeout, "port": port}
    return {name: value for name, value in given.items() if value is not None}
