"""Costs of a model by module and operation, counted in the graph that `torch.jit` traces of one forward pass."""

import logging
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from kinema.compat.parts.analysis.costs import ACTIVATION_HANDLES, FLOP_HANDLES, FREE, Handle

logger = logging.getLogger("kinema")

Inputs = Tensor | tuple[Any, ...]
Warnings = Literal["all", "no_tracer_warning", "none"]


@dataclass
class _Statistics:
    counts: dict[str, Counter[str]]
    unsupported: dict[str, Counter[str]]
    called: set[str] = field(default_factory=set)


class JitModelAnalysis:
    """Counts what each operation costs, by functions that `set_op_handle` sets.

    A module counts with all that lies in it. Of several names of a module the first is used; the
    whole model is `""`. The counts are made when they are first asked for.

    Args:
        model: the model; it keeps its mode.
        inputs: arguments of its forward pass.
    """

    def __init__(self, model: nn.Module, inputs: Inputs) -> None:
        self._model = model
        self._inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        self._handles: dict[str, Handle | None] = {}
        self._ancestor_mode = "owner"
        self._tracer_warnings: Warnings = "no_tracer_warning"
        self._warns_of_operations = self._warns_of_modules = True
        self._statistics: _Statistics | None = None
        first: dict[nn.Module, str] = {}
        self._names: dict[str, str] = {}  # any name of a module -> its first one
        for name, module in model.named_modules(remove_duplicate=False):
            self._names[name] = first.setdefault(module, name)
        self._first = first

    # ---- results

    def total(self, module_name: str = "") -> int:
        """All that a module costs.

        Raises:
            KeyError: there is no such module.
        """
        return int(sum(self.by_operator(module_name).values()))

    def by_operator(self, module_name: str = "") -> Counter[str]:
        """Operation, without `aten::` -> what it costs in a module.

        Raises:
            KeyError: there is no such module.
        """
        return self._counted().counts[self.canonical_module_name(module_name)]

    def by_module(self) -> Counter[str]:
        """Module -> what it costs."""
        return Counter({name: int(sum(counts.values())) for name, counts in self._counted().counts.items()})

    def by_module_and_operator(self) -> dict[str, Counter[str]]:
        """Module -> operation -> what it costs."""
        return self._counted().counts

    def unsupported_ops(self, module_name: str = "") -> Counter[str]:
        """Operations in a module that nothing counts, and how often they come.

        Raises:
            KeyError: there is no such module.
        """
        return self._counted().unsupported[self.canonical_module_name(module_name)]

    def uncalled_modules(self) -> set[str]:
        """Modules of which the graph has no operation."""
        return set(self._names.values()) - self._counted().called - {""}

    def canonical_module_name(self, name: str) -> str:
        """The first of a module's names.

        Raises:
            KeyError: there is no such module.
        """
        if name not in self._names:
            raise KeyError(f"{type(self._model).__name__} has no module {name!r}")
        return self._names[name]

    # ---- settings

    def set_op_handle(self, *args: str | Handle | None, **kwargs: Handle | None) -> Self:
        """Count an operation by a function; None: it costs nothing.

        Args:
            *args: name, such as `"aten::matmul"`, and function `(inputs, outputs) -> number or
                Counter`, in turns.
            **kwargs: the same by keyword.

        Raises:
            TypeError: a name comes without a function.
        """
        if len(args) % 2:
            raise TypeError("set_op_handle takes pairs: the name of an operation and its function")
        pairs = dict(zip(args[::2], args[1::2], strict=True)) | kwargs
        if not all(isinstance(name, str) for name in pairs):
            raise TypeError(f"an operation is named by a text, got {list(pairs)}")
        self._handles.update(pairs)  # type: ignore[arg-type]
        return self._changed()

    def clear_op_handles(self) -> Self:
        """Count no operation."""
        self._handles = {}
        return self._changed()

    def ancestor_mode(self, mode: Literal["owner", "caller"]) -> Self:
        """Whom else an operation of a module counts for: `"owner"`, whose attributes it is in, or `"caller"`.

        Raises:
            ValueError: it is neither.
        """
        if mode not in ("owner", "caller"):
            raise ValueError(f"ancestor_mode is 'owner' or 'caller', not {mode!r}")
        self._ancestor_mode = mode
        return self._changed()

    def tracer_warnings(self, mode: Warnings) -> Self:
        """Warnings while tracing: `"all"`, `"no_tracer_warning"` or `"none"`.

        Raises:
            ValueError: it is none of these.
        """
        if mode not in ("all", "no_tracer_warning", "none"):
            raise ValueError(f"tracer_warnings is 'all', 'no_tracer_warning' or 'none', not {mode!r}")
        self._tracer_warnings = mode
        return self

    def unsupported_ops_warnings(self, enabled: bool) -> Self:
        """Whether operations that nothing counts are logged."""
        self._warns_of_operations = enabled
        return self

    def uncalled_modules_warnings(self, enabled: bool) -> Self:
        """Whether modules that are not called are logged."""
        self._warns_of_modules = enabled
        return self

    def copy(self, new_model: nn.Module | None = None, new_inputs: Inputs | None = None) -> Self:
        """Another analysis with these settings.

        Args:
            new_model: of another model.
            new_inputs: for other inputs.
        """
        model = self._model if new_model is None else new_model
        other = type(self)(model, self._inputs if new_inputs is None else new_inputs)
        other._handles = dict(self._handles)
        other._ancestor_mode, other._tracer_warnings = self._ancestor_mode, self._tracer_warnings
        other._warns_of_operations = self._warns_of_operations
        other._warns_of_modules = self._warns_of_modules
        return other

    def _changed(self) -> Self:
        self._statistics = None
        return self

    # ---- counting

    def _counted(self) -> _Statistics:
        if self._statistics is None:
            self._statistics = self._count()
            if self._warns_of_operations and (missed := self._statistics.unsupported[""]):
                logger.warning("the analysis leaves out %s", ", ".join(f"{name} ({n})" for name, n in missed.items()))
            if self._warns_of_modules and (uncalled := self.uncalled_modules()):
                logger.warning("modules that the analysis saw nothing of: %s", ", ".join(sorted(uncalled)))
        return self._statistics

    def _count(self) -> _Statistics:
        names = list(dict.fromkeys(self._names.values()))
        result = _Statistics({name: Counter() for name in names}, {name: Counter() for name in names})
        for node in self._graph().nodes():
            callers = [scope.partition(_SCOPE)[2] for scope in node.scopeName().split("/") if scope]
            modules = set(callers) | {""} if self._ancestor_mode == "caller" else self._owners(callers)
            result.called |= modules | set(callers)
            operation = node.kind()
            if operation == "prim::PythonOp":
                operation = f"prim::PythonOp.{node.pyname()}"
            if operation in self._handles:
                handle = self._handles[operation]
                cost = 0 if handle is None else handle(list(node.inputs()), list(node.outputs()))
                if not isinstance(cost, Counter):
                    cost = Counter({operation.partition("::")[2]: cost})
                for module in modules if handle is not None else ():
                    result.counts[module] += cost
            elif operation not in FREE and not (operation.startswith("prim::") and "PythonOp" not in operation):
                for module in modules:
                    result.unsupported[module][operation] += 1
        return result

    def _owners(self, callers: list[str]) -> set[str]:
        """The innermost module and those in whose attributes it lies."""
        path = callers[-1].split(".") if callers and callers[-1] else []
        return {"", *(self._names[".".join(path[:depth])] for depth in range(1, len(path) + 1))}

    def _graph(self) -> Any:
        model = self._model
        if isinstance(model, DataParallel | DistributedDataParallel):
            model = model.module
        with warnings.catch_warnings(), _named_scopes(model, self._first):
            # Whoever asks for this analysis cannot do anything about torch.jit's future.
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="torch")
            warnings.filterwarnings("ignore", message=".*torch.jit.*")
            if self._tracer_warnings == "none":
                warnings.simplefilter("ignore")
            elif self._tracer_warnings == "no_tracer_warning":
                warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
            return torch.jit._get_trace_graph(model, self._inputs)[0]


_SCOPE = "module:"  # in front of its name, as that of a scope must not be empty


@contextmanager
def _named_scopes(model: nn.Module, names: Mapping[nn.Module, str]) -> Iterator[None]:
    """While the model is traced, the operations of each module lie in a scope of its name."""

    def enter(module: nn.Module, args: Any) -> None:
        state = torch._C._get_tracing_state()
        if state is not None:
            state.push_scope(_SCOPE + names[module])

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        state = torch._C._get_tracing_state()
        if state is not None:
            state.pop_scope()

    hooks = []
    for module in model.modules():
        if not isinstance(module, torch.jit.ScriptModule):
            hooks += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class FlopAnalyzer(JitModelAnalysis):
    """Counts multiply-adds, as one each; see `JitModelAnalysis`."""

    def __init__(self, model: nn.Module, inputs: Inputs) -> None:
        super().__init__(model, inputs)
        self._handles.update(FLOP_HANDLES)


class ActivationAnalyzer(JitModelAnalysis):
    """Counts the values that convolutions, linear layers and matrix products give; see `JitModelAnalysis`."""

    def __init__(self, model: nn.Module, inputs: Inputs) -> None:
        super().__init__(model, inputs)
        self._handles.update(ACTIVATION_HANDLES)


def flop_count(
    model: nn.Module, inputs: tuple[Any, ...], supported_ops: Mapping[str, Handle] | None = None
) -> tuple[dict[str, float], Counter[str]]:
    """Multiply-adds by operation, in units of 10^9, and operations that were left out.

    Args:
        model: the model.
        inputs: arguments of its forward pass.
        supported_ops: further functions, see `JitModelAnalysis.set_op_handle`.
    """
    return _in_units(FlopAnalyzer(model, inputs), supported_ops, 1e9)


def activation_count(
    model: nn.Module, inputs: tuple[Any, ...], supported_ops: Mapping[str, Handle] | None = None
) -> tuple[dict[str, float], Counter[str]]:
    """Activations by operation, in units of 10^6, and operations that were left out; see `flop_count`."""
    return _in_units(ActivationAnalyzer(model, inputs), supported_ops, 1e6)


def _in_units(
    analysis: JitModelAnalysis, supported_ops: Mapping[str, Handle] | None, unit: float
) -> tuple[dict[str, float], Counter[str]]:
    analysis.set_op_handle(**(supported_ops or {}))
    counts = defaultdict(float, {operation: cost / unit for operation, cost in analysis.by_operator().items()})
    return counts, analysis.unsupported_ops()
