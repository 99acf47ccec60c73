"""Where numbers stop being finite: the first module of a forward pass, weights, gradients."""

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from kinema.diagnosis.nested import leaves_of


def first_bad_module(model: nn.Module, forward: Callable[[], Any]) -> str:
    """The first module whose output is not finite, in words.

    Args:
        model: whose modules to look at.
        forward: runs it on a batch. Gradients are not recorded; buffers, such as the running means
            of batch norms, are put back afterwards.
    """
    findings: list[str] = []
    handles = [
        module.register_forward_hook(_watch(name or "the model", findings)) for name, module in model.named_modules()
    ]
    kept = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        with torch.no_grad():
            forward()
    except Exception as error:  # what fails here must not hide what is being looked for
        findings.append(f"the forward pass cannot be repeated ({type(error).__name__}: {error})")
    finally:
        for handle in handles:
            handle.remove()
        for buffer, value in kept:
            buffer.copy_(value)
    return findings[0] if findings else "in a second forward pass the outputs of all modules are finite"


class WithoutUpdates:
    """An optimizer wrapper, or several by name, for a `train_step` that shall compute the losses only.

    Args:
        wrapper: gives everything but what changes weights and gradients.
    """

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapper, name)

    def __getitem__(self, name: str) -> "WithoutUpdates":
        return WithoutUpdates(self._wrapper[name])

    def update_params(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    backward = step = zero_grad = update_params


def _watch(name: str, findings: list[str]) -> Callable[[nn.Module, Any, Any], None]:
    def look(module: nn.Module, inputs: Any, output: Any) -> None:
        if findings or are_finite(output):
            return
        if not are_finite(inputs):
            reason = "whose input is not finite either"
        elif not are_finite(list(module.parameters(recurse=False))):
            reason = "whose weights are not finite"
        else:
            reason = "whose input is finite"
        findings.append(f"the first module whose output is not finite is {name} ({type(module).__name__}), {reason}")

    return look


def are_finite(value: Any) -> bool:
    """Are all tensors in nested dicts and lists finite?"""
    return all(bool(torch.isfinite(tensor).all()) for tensor in _tensors(value))


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors of a batch, of sharded ones the share of this process."""
    return (tensor.to_local() if hasattr(tensor, "to_local") else tensor for tensor in leaves_of(value, Tensor))


def bad_gradients(named: Iterable[tuple[str, Tensor]]) -> list[str]:
    """Names of the parameters whose gradients are not finite.

    Args:
        named: parameters by name, in the order of the model. Gradients are computed from the last
            to the first: where not all are bad, the last bad one is where it began.
    """
    return [name for name, parameter in named if parameter.grad is not None and not are_finite(parameter.grad)]


def bad_weights(model: nn.Module) -> list[str]:
    """Names of parameters and buffers that are not finite, of this process's shares; the host waits once."""
    named = [(name, tensor.detach()) for name, tensor in (*model.named_parameters(), *model.named_buffers())]
    named = [(name, next(_tensors(tensor))) for name, tensor in named if tensor.is_floating_point()]
    named = [(name, tensor) for name, tensor in named if tensor.device.type != "meta"]
    if not named:
        return []
    flags = torch.stack([torch.isfinite(tensor).all() for _, tensor in named]).tolist()
    return [name for (name, _), is_finite in zip(named, flags, strict=True) if not is_finite]


def random_states(device: torch.device) -> tuple[Any, ...]:
    """The random states of torch and Python, which take microseconds to copy; numpy's takes far longer."""
    of_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return torch.default_generator.get_state(), random.getstate(), of_device


def set_random_states(states: tuple[Any, ...], device: torch.device) -> None:
    """Put back what `random_states` returned."""
    of_torch, of_python, of_device = states
    torch.default_generator.set_state(of_torch)
    random.setstate(of_python)
    if of_device is not None:
        torch.cuda.set_rng_state(of_device, device)
