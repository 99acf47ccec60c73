"""Parameters, multiply-adds and activations of a model as numbers, a table, and the text of its modules."""

import io
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from kinema.compat.parts.analysis.tracing import ActivationAnalyzer, FlopAnalyzer

_UNITS = ("", "K", "M", "G", "T", "P")
_NOTE = (
    "\nN/A indicates a possibly missing statistic due to how the module was called. Missing values are still included"
    " in the parent's total.\n"
)


def parameter_count(model: nn.Module) -> dict[str, int]:
    """Module or parameter -> its number of parameters; the whole model is `""`."""
    counts: defaultdict[str, int] = defaultdict(int)
    for name, parameter in model.named_parameters():
        path = name.split(".")
        for depth in range(len(path) + 1):
            counts[".".join(path[:depth])] += parameter.numel()
    return counts


def format_size(number: float, digits: int = 3, hide_zero: bool = False) -> str:
    """1234 -> "1.234K": up to `digits` digits behind the point; numbers up to 99 as they are."""
    if not number:
        return "" if hide_zero else "0"
    if abs(number) < 100:
        return str(int(number))
    power = next((power for power in range(1, len(_UNITS)) if abs(number) < 10 ** (3 * power + 2)), len(_UNITS) - 1)
    text = f"{number / 1000**power:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.')}{_UNITS[power]}"


def _rows(model: nn.Module, max_depth: int, *, innermost: bool) -> Iterator[tuple[int, str, nn.Module | None]]:
    """(depth, name, module or None for a parameter) of what has parameters, parents first.

    `innermost`: a module stands for those that only wrap it.
    """
    yield 0, "", model
    seen: set[Any] = set()

    def below(module: nn.Module, prefix: str, depth: int) -> Iterator[tuple[int, str, nn.Module | None]]:
        if depth > max_depth:
            return
        for name, parameter in module.named_parameters(recurse=False):
            if parameter not in seen:
                seen.add(parameter)
                yield depth, f"{prefix}{name}", None
        for name, child in module.named_children():
            if any(True for _ in child.parameters()):
                path = f"{prefix}{name}"
                if innermost:
                    path, child = _innermost(path, child)
                yield depth, path, child
                yield from below(child, f"{path}.", depth + 1)

    yield from below(model, "", 1)


def _innermost(path: str, module: nn.Module) -> tuple[str, nn.Module]:
    """What a module only wraps: its one child that has parameters, and so on."""
    while not any(True for _ in module.parameters(recurse=False)):
        children = [pair for pair in module.named_children() if any(True for _ in pair[1].parameters())]
        if len(children) != 1:
            break
        path, module = f"{path}.{children[0][0]}", children[0][1]
    return path, module


def parameter_count_table(model: nn.Module, max_depth: int = 3) -> str:
    """A table of the parameters of modules, down to `max_depth`."""
    counts = parameter_count(model)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    table = Table(title=f"parameter count of {type(model).__name__}", box=box.ASCII2)
    for column in ("name", "#elements or shape"):
        table.add_column(column)
    for depth, name, module in _rows(model, max_depth, innermost=False):
        value = str(shapes[name]) if module is None else format_size(counts[name], 1)
        table.add_row(" " * depth + (name or "model"), " " * depth + value)
    return _text(table)


def complexity_stats_table(
    flops: FlopAnalyzer,
    max_depth: int = 3,
    activations: ActivationAnalyzer | None = None,
    show_param_shapes: bool = True,
) -> str:
    """A table of parameters, multiply-adds and activations of modules.

    Args:
        flops: the analysis.
        max_depth: how deep.
        activations: theirs; None: no column of them.
        show_param_shapes: a line a parameter, with its shape.
    """
    model = flops._model
    counts = parameter_count(model)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    analyses = [analysis for analysis in (flops, activations) if analysis is not None]
    table = Table(box=box.ASCII2)
    for column in ("module", "#parameters or shape", "#flops", "#activations")[: 2 + len(analyses)]:
        table.add_column(column)
    for depth, name, module in _rows(model, max_depth, innermost=True):
        if module is None:
            if show_param_shapes:
                table.add_row(" " * depth + name, " " * depth + str(shapes[name]), *[""] * len(analyses))
            continue
        costs = [format_size(analysis.total(name), hide_zero=True) for analysis in analyses]
        numbers = [format_size(counts[name]), *costs]
        table.add_row(" " * depth + (name or "model"), *(" " * depth + number for number in numbers))
    return "\n" + _text(table)


def complexity_stats_str(flops: FlopAnalyzer, activations: ActivationAnalyzer | None = None) -> str:
    """The text of a model's modules, with parameters, multiply-adds and activations in each."""
    model = flops._model
    counts = parameter_count(model)
    analyses = {"flops": flops} | ({} if activations is None else {"acts": activations})

    def described(name: str) -> str:
        facts = [f"#params: {format_size(counts[name], 2)}"] if counts.get(name) else []
        for label, analysis in analyses.items():
            uncalled = analysis.canonical_module_name(name) in analysis.uncalled_modules()
            if uncalled and facts:
                facts.append(f"#{label}: N/A")
            elif analysis.total(name):
                facts.append(f"#{label}: {format_size(analysis.total(name), 2)}")
        return ", ".join(facts)

    def lines(module: nn.Module, name: str) -> list[str]:
        body = [text for text in (module.extra_repr(), described(name)) if text]
        for key, child in module.named_children():
            below = lines(child, f"{name}.{key}" if name else key)
            body.append("\n".join([f"({key}): {below[0]}", *below[1:]]))
        kind = type(module).__name__
        if not body:
            return [f"{kind}()"]
        inner = "\n".join(body).splitlines()
        return [f"{kind}(", *(f"  {line}" for line in inner), ")"]

    return _NOTE + "\n".join(lines(model, ""))


def _text(table: Table) -> str:
    stream = io.StringIO()
    Console(file=stream, width=1000).print(table)
    return stream.getvalue()


def get_model_complexity_info(
    model: nn.Module,
    input_shape: Sequence[int] | Sequence[Sequence[int]] | None = None,
    inputs: Tensor | tuple[Any, ...] | None = None,
    show_table: bool = True,
    show_arch: bool = True,
) -> dict[str, Any]:
    """What a model costs.

    Args:
        model: the model.
        input_shape: shape of one input without the batch, or of several.
        inputs: the inputs themselves; one of the two is given.
        show_table: make the table.
        show_arch: make the text of its modules.

    Returns:
        `flops`, `activations` and `params` as numbers, with `_str` as texts; `out_table`,
        `out_arch`.

    Raises:
        ValueError: both inputs and shape are given, or neither is.
    """
    if (input_shape is None) == (inputs is None):
        raise ValueError("give one of input_shape and inputs")
    if inputs is None:
        shapes: Any = [input_shape] if isinstance(input_shape[0], int) else input_shape  # type: ignore[index]
        place = next(model.parameters(), torch.empty(0)).device
        inputs = tuple(torch.rand(1, *shape, device=place) for shape in shapes)
    flops, activations = FlopAnalyzer(model, inputs), ActivationAnalyzer(model, inputs)
    numbers = {
        "flops": flops.total(),
        "activations": activations.total(),
        "params": parameter_count(model)[""],
    }
    result: dict[str, Any] = {}
    for name, number in numbers.items():
        result |= {name: number, f"{name}_str": format_size(number)}
    result["out_table"] = complexity_stats_table(flops, activations=activations) if show_table else ""
    result["out_arch"] = complexity_stats_str(flops, activations) if show_arch else ""
    return result
