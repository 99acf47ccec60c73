"""Several optimizers by name, for models whose own `train_step` updates with each of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, NoReturn, TypeVar

from torch import Tensor, nn

from kinema.optim.wrapper import BaseOptimWrapper, OptimWrapper

T = TypeVar("T")


def by_optimizer(wrapper: BaseOptimWrapper, function: Callable[[Any], T]) -> T | dict[str, T]:
    """What `function` gives for the wrapper of an optimizer; of several a dict of it by name."""
    values = {name: function(part) for name, part in wrapper.wrappers.items()}
    return values.get("", values)


def share_of(values: Any, name: str) -> Any:
    """The share of the optimizer `name` in what `by_optimizer` gave.

    Raises:
        KeyError: there is none.
    """
    if name and name not in values:
        raise KeyError(f"there is nothing of the optimizer {name!r}, but of {', '.join(map(str, values))}")
    return values[name] if name else values


def label(kind: str, name: str) -> str:
    """The name of a part of a kind that belongs to the optimizer `name`."""
    return f"{kind}.{name}" if name else kind


class OptimWrapperDict(OptimWrapper):
    """Optimizer wrappers by name. Each updates by itself; together they only report and clear.

    Each also counts the batches that it accumulates by itself, across the ends of epochs. To a run
    each batch is an update.

    Args:
        optim_wrapper_dict: the wrappers by name.

    Raises:
        TypeError: one is no `OptimWrapper`.
        NotImplementedError: what each wrapper does by itself is asked of all.
    """

    accumulative_counts = 1
    window = None

    def __init__(self, **optim_wrapper_dict: OptimWrapper) -> None:
        for name, wrapper in optim_wrapper_dict.items():
            if not isinstance(wrapper, OptimWrapper):
                raise TypeError(f"OptimWrapperDict takes OptimWrappers, got {name}={type(wrapper).__name__}")
        self.optim_wrappers = optim_wrapper_dict

    @property
    def wrappers(self) -> Mapping[str, OptimWrapper]:
        return self.optim_wrappers

    def _of_each(self, method: str) -> NoReturn:
        names = ", ".join(self)
        raise NotImplementedError(f"call {method} of each wrapper of an OptimWrapperDict: it has {names}")

    def update_params(
        self,
        loss: Tensor,
        step_kwargs: Mapping[str, Any] | None = None,
        zero_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._of_each("update_params")

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        self._of_each("backward")

    def step(self, **kwargs: Any) -> None:
        self._of_each("step")

    def optim_context(self, model: nn.Module) -> AbstractContextManager[Any]:
        self._of_each("optim_context")

    def zero_grad(self, **kwargs: Any) -> None:
        """Clear the gradients of all."""
        for wrapper in self.values():
            wrapper.zero_grad(**kwargs)

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """Nothing to do: each wrapper counts for itself."""

    @property
    def param_groups(self) -> dict[str, list[dict[str, Any]]]:
        """The parameter groups of each."""
        return {name: wrapper.param_groups for name, wrapper in self.items()}

    def get_lr(self) -> dict[str, list[float]]:
        """Learning rates by group: `{"NAME.lr": [...]}`."""
        return {f"{name}.{key}": values for name, wrapper in self.items() for key, values in wrapper.get_lr().items()}

    def get_momentum(self) -> dict[str, list[float]]:
        """Momenta by group: `{"NAME.momentum": [...]}`."""
        each = {name: wrapper.get_momentum() for name, wrapper in self.items()}
        return {f"{name}.{key}": values for name, momenta in each.items() for key, values in momenta.items()}

    def state_dict(self) -> dict[str, Any]:
        """States by name."""
        return {name: wrapper.state_dict() for name, wrapper in self.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the states of `state_dict()` back.

        Raises:
            KeyError: there is no wrapper of that name.
        """
        for name, state in state_dict.items():
            self[name].load_state_dict(state)

    def keys(self) -> Iterator[str]:
        """The names."""
        yield from self.optim_wrappers

    def values(self) -> Iterator[OptimWrapper]:
        """The wrappers."""
        yield from self.optim_wrappers.values()

    def items(self) -> Iterator[tuple[str, OptimWrapper]]:
        """Names and wrappers."""
        yield from self.optim_wrappers.items()

    def __getitem__(self, name: str) -> OptimWrapper:
        if name not in self.optim_wrappers:
            raise KeyError(f"OptimWrapperDict has no {name!r}: it has {', '.join(self)}")
        return self.optim_wrappers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.optim_wrappers)

    def __contains__(self, name: object) -> bool:
        return name in self.optim_wrappers

    def __len__(self) -> int:
        return len(self.optim_wrappers)

    def __repr__(self) -> str:
        return "".join(f"name: {name}\n{wrapper!r}\n" for name, wrapper in self.items())
