"""Models wrapped for training on several processes, and their names without what wraps them."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from kinema.registry import MODEL_WRAPPERS, Registry

logger = logging.getLogger("kinema")

MODEL_WRAPPERS.register_module(module=DataParallel)
MODEL_WRAPPERS.register_module(module=DistributedDataParallel)


def is_model_wrapper(model: nn.Module, registry: Registry = MODEL_WRAPPERS) -> bool:
    """Whether `model` holds the real model in its attribute `module`.

    Args:
        model: any module.
        registry: holds further wrapper classes, as do its children.
    """
    wrappers: list[Any] = [DataParallel, DistributedDataParallel]
    registries = [registry]
    while registries:
        current = registries.pop()
        wrappers.extend(current.module_dict.values())
        registries.extend(current.children.values())
    return isinstance(model, tuple(wrapper for wrapper in wrappers if isinstance(wrapper, type)))


def unwrapped(model: nn.Module) -> Any:
    """The real model, whether `model` wraps it or is it."""
    return model.module if is_model_wrapper(model) else model


def wrapped_places(model: nn.Module) -> list[str]:
    """The names of modules of a model that are wrapped, inner before outer."""
    places = [name for name, module in model.named_modules() if name and is_model_wrapper(module)]
    return sorted(places, key=len, reverse=True)


def plain_name(name: str, places: Sequence[str]) -> str:
    """The name of a parameter or buffer without the wrappers at `wrapped_places`."""
    for place in places:
        if name.startswith(f"{place}.module."):
            name = place + name.removeprefix(f"{place}.module")
    return name


def in_torch_terms(options: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `DistributedDataParallel` under the names that this torch has for them."""
    options = dict(options)
    if "broadcast_buffers" in options and "forward_sync_buffers" in signature(DistributedDataParallel).parameters:
        options["forward_sync_buffers"] = options.pop("broadcast_buffers")  # since torch 2.13
    return options


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


def detect_anomalous_params(loss: Tensor, model: nn.Module) -> None:
    """Log, as errors, the trainable parameters that `loss` does not depend on.

    Args:
        loss: a loss that `model` computed, before or after its backward pass.
        model: the model.
    """
    nodes, seen, used = [loss.grad_fn], set(), set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        used.add(getattr(node, "variable", None))  # of the nodes that accumulate gradients
        nodes.extend(following for following, _ in node.next_functions)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and parameter not in used:
            logger.error("%s with shape %s is not in the computational graph", name, tuple(parameter.shape))
