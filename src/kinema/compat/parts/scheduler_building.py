"""Build a scheduler whose config has an optimizer: `PARAM_SCHEDULERS.build(dict(type="LinearLR", optimizer=...))`."""

import inspect
from collections.abc import Mapping
from typing import Any

from kinema.compat.parts import schedulers
from kinema.errors import RegistryError
from kinema.optim.schedules import Schedule
from kinema.registry import Registry


def build_scheduler_from_cfg(cfg: Mapping[str, Any], registry: Registry, default_args: Any = None) -> Any:
    """Build a scheduler that holds an optimizer and steps.

    Args:
        cfg: `type`, `optimizer` and the arguments of the scheduler; with `convert_to_iter_based`
            those in epochs become iterations, of which an epoch has `epoch_length`.
        registry: of the schedulers.
        default_args: arguments that `cfg` does not set.

    Raises:
        RegistryError: there is no such scheduler.
        ValueError: `epoch_length` is missing.
    """
    arguments = {**(default_args or {}), **cfg}
    kind = arguments.pop("type", None)
    length = arguments.pop("epoch_length", None)
    in_iterations = arguments.pop("convert_to_iter_based", False)
    with registry.switch_scope_and_registry(arguments.pop("_scope_", None)) as chosen:
        part: Any = chosen.get(kind) if isinstance(kind, str) else kind
    if part is None:
        raise registry.unknown(str(kind))
    if inspect.isclass(part) and Schedule in part.__mro__:
        part = getattr(schedulers, part.__name__, None)
    if part is None:
        raise RegistryError(f"{kind} is a schedule of Kinema's runs alone: leave out its optimizer")
    return part.build_iter_from_epoch(**arguments, epoch_length=length) if in_iterations else part(**arguments)
