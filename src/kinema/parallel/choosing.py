"""Which strategy trains."""

import logging
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch

from kinema.distributed import is_distributed
from kinema.errors import ConfigError
from kinema.parallel.shards import can_shard
from kinema.parallel.strategies import DataParallel, FullyShard, Options, SingleDevice, Strategy
from kinema.parallel.wrapped import Wrapped
from kinema.registry import MODEL_WRAPPERS

logger = logging.getLogger("kinema")

StrategyName = Literal["auto", "single", "ddp", "fsdp2"]


def choose_strategy(
    name: StrategyName = "auto",
    world_size: int = 1,
    device: torch.device | str = "cpu",
    *,
    sync_bn: Literal["torch", "mmcv"] | bool | None = None,
    wrapper: Mapping[str, Any] | None = None,
    **options: bool,
) -> Strategy:
    """The strategy of a name.

    Args:
        name: "single", "ddp", "fsdp2", or "auto": DDP on several processes, else "single". Outside
            a distributed run all of them are "single".
        world_size: number of processes.
        device: of this process.
        sync_bn: see `Options`; OpenMMLab's names for it mean True.
        wrapper: config of a class of `MODEL_WRAPPERS` that trains on several processes, see `Wrapped`.
        **options: see `Options`.

    Raises:
        ConfigError: no such strategy, not with so many processes, or an option that it does not
            have.
        RegistryError: there is no such wrapper.
    """
    if wrapper is not None and isinstance(wrapper["type"], str) and MODEL_WRAPPERS.get(wrapper["type"]) is None:
        raise MODEL_WRAPPERS.unknown(wrapper["type"])
    if name not in get_args(StrategyName):
        raise ConfigError(f"strategy must be one of {', '.join(get_args(StrategyName))}, got {name!r}")
    if sync_bn not in (None, False, True, "torch", "mmcv"):
        raise ConfigError(f"sync_bn must be 'torch', True, False or None, got {sync_bn!r}")
    if name == "single" and world_size > 1:
        raise ConfigError(f"strategy='single' trains in one process, but there are {world_size}: use 'ddp' or 'fsdp2'")
    if name == "auto":
        name = "ddp" if world_size > 1 else "single"
    if name != "single" and not is_distributed():
        logger.info("one process: the strategy %r has nothing to distribute", name)
        name = "single"
    of_ddp = [key for key in ("find_unused_parameters", "static_graph") if options.get(key)]
    if name == "fsdp2" and of_ddp:
        raise ConfigError(f"{of_ddp[0]} is an option of strategy='ddp': 'fsdp2' needs nothing like it, leave it out")
    if name == "fsdp2" and not can_shard(torch.device(device)):
        raise ConfigError(f"strategy='fsdp2' on a CPU needs a newer torch than {torch.__version__}: use 'ddp'")
    chosen = Options(sync_bn=bool(sync_bn) and name != "single", **options)
    if name != "single" and wrapper is not None:
        return Wrapped(device, chosen, wrapper)
    return {"single": SingleDevice, "ddp": DataParallel, "fsdp2": FullyShard}[name](device, chosen)
