"""Training by a wrapper of the user's choice, such as one that wraps the children of a model one by one."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from kinema.errors import ConfigError
from kinema.optim.wrapper import OptimWrapper
from kinema.parallel.strategies import Options, Strategy
from kinema.registry import MODEL_WRAPPERS


class Wrapped(Strategy):
    """A class of `MODEL_WRAPPERS` around the model takes the step by its `train_step`.

    Args:
        device: of this process.
        options: what the user may choose.
        config: `type` and arguments of the wrapper; it also gets `module`, and `device_ids` where it
            is a `DistributedDataParallel`.

    Raises:
        RegistryError: there is no such wrapper.
    """

    name = "wrapped"

    def __init__(self, device: torch.device | str, options: Options | None, config: Mapping[str, Any]) -> None:
        super().__init__(device, options)
        self.config = dict(config)

    def _wrapped(self, model: nn.Module) -> nn.Module:
        kind: Any = self.config["type"]
        kind = MODEL_WRAPPERS.get(kind) if isinstance(kind, str) else kind
        defaults: dict[str, Any] = {"module": model}
        if isinstance(kind, type) and issubclass(kind, DistributedDataParallel) and self.device.type == "cuda":
            defaults["device_ids"] = [self.device.index]
        own = set(model.parameters())
        module: nn.Module = MODEL_WRAPPERS.build(self.config, default_args=defaults)
        if not hasattr(module, "train_step"):
            raise ConfigError(f"model_wrapper_cfg: {type(module).__name__} has no train_step(data, optim_wrapper)")
        if not own <= set(module.parameters()):
            raise ConfigError(
                f"model_wrapper_cfg: {type(module).__name__} puts other parameters in the place of the model's, which"
                " no checkpoint of Kinema can hold: use strategy='fsdp2' to shard a model"
            )
        return module

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Any]:
        """The wrapper's."""
        logs: dict[str, Any] = self.module.train_step(data, optim_wrapper=optim_wrapper)
        return logs
