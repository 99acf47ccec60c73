"""`torch.compile` of a network, for training and evaluation alike."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

from torch import nn

from kinema.errors import ConfigError
from kinema.printable import first_line

_HOW_TO_FIX = "train without compile, or try compile=dict(backend='eager') to see whether the network can be traced"


def compile_model(model: nn.Module, settings: bool | Mapping[str, Any] = True) -> nn.Module:
    """Compile a network in place, at its first call; names of weights and saved files stay as they are.

    Each size of a batch gets kernels of its own, unless `dynamic` says otherwise. By default torch
    compiles the second size that it meets for all sizes: results would then depend, in their last
    digits, on which batches came before, and a resumed run would not equal one that never stopped.

    Args:
        model: the model.
        settings: True, or keywords of `torch.compile`, and `target`: dotted name of the module to
            compile, or "forward" for the whole model. Default: `backbone` where the model has one,
            since the rest handles labels and metrics in Python.

    Returns:
        The module that is compiled.

    Raises:
        ConfigError: there is no such module, or `torch.compile` refuses a keyword.
    """
    options = {"dynamic": False, **(settings if isinstance(settings, Mapping) else {})}
    has_backbone = isinstance(getattr(model, "backbone", None), nn.Module)
    target = options.pop("target", "backbone" if has_backbone else "forward")
    try:
        module = model if target == "forward" else attrgetter(target)(model)
    except AttributeError:
        module = None
    if not isinstance(module, nn.Module):
        names = ", ".join(name for name, _ in model.named_children())
        raise ConfigError(f"compile.target={target!r} is no module of {type(model).__name__}: it has forward, {names}")
    try:
        module.compile(**options)
    except (TypeError, ValueError, RuntimeError) as error:
        problem = f"compile: torch.compile takes no such values: {first_line(error)}; got {settings}"
        raise ConfigError(problem) from error
    return module


@contextmanager
def compile_errors_explained() -> Iterator[None]:
    """Around calls of a compiled network.

    Raises:
        ConfigError: it cannot be compiled.
    """
    try:
        yield
    except RuntimeError as error:
        kinds = [kind.__module__ for kind in type(error).__mro__]
        if not any(kind.startswith(("torch._dynamo", "torch._inductor")) for kind in kinds):
            raise
        reason = " ".join(str(error).splitlines()[:2])  # what refused, and why
        raise ConfigError(f"compile: the network cannot be compiled ({reason}): {_HOW_TO_FIX}") from error
