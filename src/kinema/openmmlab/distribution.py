"""How OpenMMLab's configs ask for training on several processes, in the terms of `choose_strategy`."""

from collections.abc import Mapping
from typing import Any

from kinema.errors import ConfigError

STRATEGIES = {
    "SingleDeviceStrategy": "single",
    "DDPStrategy": "ddp",
    "FSDPStrategy": "fsdp2",
    "MMDistributedDataParallel": "ddp",
    "MMSeparateDistributedDataParallel": "ddp",
    "DistributedDataParallel": "ddp",
    "MMFullyShardedDataParallel": "fsdp2",
}
OPTIONS = ("find_unused_parameters", "static_graph", "broadcast_buffers")


def strategy_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `choose_strategy` that a config names.

    Args:
        config: of a run. Read are `strategy`, a name or `dict(type=..., static_graph=True, ...)`;
            OpenMMLab's `model_wrapper_cfg`, `find_unused_parameters` and `sync_bn`.

    Raises:
        ConfigError: a strategy or an option that there is not.
    """
    options: dict[str, Any] = {}
    if config.get("sync_bn"):
        options["sync_bn"] = config["sync_bn"]
    if config.get("find_unused_parameters"):
        options["find_unused_parameters"] = True
    for key, kind in (("model_wrapper_cfg", "MMDistributedDataParallel"), ("strategy", "auto")):
        value = config.get(key)
        if not value:
            continue
        entry = {"type": value} if isinstance(value, str) else {"type": kind, **value}
        name = str(entry.pop("type")).rpartition(".")[2]
        options["name"] = _known(STRATEGIES.get(name, name), f"{key}.type" if isinstance(value, Mapping) else key)
        for option, setting in entry.items():
            if option not in OPTIONS:
                raise ConfigError(f"{key}.{option} is no option of a strategy: there are {', '.join(OPTIONS)}")
            options[option] = bool(setting)
    return options


def _known(name: str, where: str) -> str:
    ours = ("auto", *dict.fromkeys(STRATEGIES.values()))
    if name not in ours:
        raise ConfigError(f"{where}={name!r} is no strategy of Kinema: there are {', '.join(ours)}")
    return name
