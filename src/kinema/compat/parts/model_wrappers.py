"""Models wrapped for training on several processes by hand; Kinema's runs choose a strategy instead."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from kinema.compat.parts.models import detect_anomalous_params
from kinema.parallel.strategies import in_torch_terms
from kinema.registry import MODEL_WRAPPERS

MODEL_WRAPPERS.register_module(module=DataParallel)
MODEL_WRAPPERS.register_module(module=DistributedDataParallel)


@MODEL_WRAPPERS.register_module()
class MMDistributedDataParallel(DistributedDataParallel):
    """`DistributedDataParallel` with `train_step`, `val_step` and `test_step`.

    Args:
        module: a `BaseModel`.
        detect_anomalous_params: log parameters that a loss does not depend on, at each step.
        **kwargs: of `DistributedDataParallel`.
    """

    def __init__(self, module: nn.Module, detect_anomalous_params: bool = False, **kwargs: Any) -> None:
        super().__init__(module, **in_torch_terms(kwargs))
        self.detect_anomalous_params = detect_anomalous_params

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Any]:
        """Losses of one batch, and an update of the parameters; see `BaseModel.train_step`."""
        with optim_wrapper.optim_context(self):
            losses = self._run_forward(self.module.data_preprocessor(data, training=True), mode="loss")
        loss, log_vars = self.module.parse_losses(losses)
        optim_wrapper.update_params(loss)
        if self.detect_anomalous_params:
            detect_anomalous_params(loss, model=self)
        return log_vars

    def val_step(self, data: Any) -> Any:
        """The model's."""
        return self.module.val_step(data)

    def test_step(self, data: Any) -> Any:
        """The model's."""
        return self.module.test_step(data)

    def _run_forward(self, data: Any, mode: str) -> Any:
        if isinstance(data, dict):
            return self(**data, mode=mode)
        if isinstance(data, list | tuple):
            return self(*data, mode=mode)
        raise TypeError(f"a preprocessed batch must be a dict, tuple or list, got {type(data).__name__}")


@MODEL_WRAPPERS.register_module()
class MMSeparateDistributedDataParallel(DistributedDataParallel):
    """A model whose children are wrapped one by one, for training with several optimizers (GANs).

    Children without trainable parameters are not wrapped.

    Args:
        module: the model, which has its own `train_step`.
        broadcast_buffers: see `DistributedDataParallel`.
        find_unused_parameters: see there.
        **kwargs: of `MMDistributedDataParallel`.
    """

    def __init__(
        self,
        module: nn.Module,
        broadcast_buffers: bool = False,
        find_unused_parameters: bool = False,
        **kwargs: Any,
    ) -> None:
        nn.Module.__init__(self)
        self.module = module
        device = kwargs.pop("device_ids", None)
        target = torch.device("cpu" if device is None else f"cuda:{device[0]}")
        for name, child in module.named_children():
            child.to(target)
            if any(parameter.requires_grad for parameter in child.parameters()):
                wrapped = MMDistributedDataParallel(
                    child,
                    device_ids=device,
                    broadcast_buffers=broadcast_buffers,
                    find_unused_parameters=find_unused_parameters,
                    **kwargs,
                )
                module._modules[name] = wrapped

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, Any]:
        """The model's."""
        log_vars: dict[str, Any] = self.module.train_step(data, optim_wrapper)
        return log_vars

    def val_step(self, data: Any) -> Any:
        """The model's."""
        return self.module.val_step(data)

    def test_step(self, data: Any) -> Any:
        """The model's."""
        return self.module.test_step(data)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Gradients stay in their process, in all children that are wrapped."""
        with ExitStack() as stack:
            for child in self.module.children():
                if isinstance(child, DistributedDataParallel):
                    stack.enter_context(child.no_sync())
            yield

    def train(self, mode: bool = True) -> "MMSeparateDistributedDataParallel":
        """Put the model in training or evaluation mode."""
        self.training = mode
        self.module.train(mode)
        return self
