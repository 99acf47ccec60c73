"""MMCV's count of a model's operations: by layers of known kinds, while they run."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from typing import Any, TextIO

import torch
from torch import Tensor, nn
from torch.nn.modules.activation import ELU, LeakyReLU, PReLU, ReLU, ReLU6
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AdaptiveMaxPoolNd, _AvgPoolNd, _MaxPoolNd

_UNITS = {"G": 9, "M": 6, "K": 3, "": 0}

Cost = Callable[[Any, Tensor, Tensor], int]


def _of_convolution(layer: Any, x: Tensor, y: Tensor) -> int:
    positions = x if layer.transposed else y
    pairs = len(x) * prod(layer.kernel_size) * layer.in_channels * layer.out_channels // layer.groups
    biases = 0 if layer.bias is None else y.numel()
    return pairs * prod(positions.shape[2:]) + biases


def _of_norm(layer: Any, x: Tensor, y: Tensor) -> int:
    has_weights = getattr(layer, "affine", False) or getattr(layer, "elementwise_affine", False)
    return x.numel() * (2 if has_weights else 1)


def _of_linear(layer: Any, x: Tensor, y: Tensor) -> int:
    return x.numel() * y.shape[-1]


def _of_output(layer: Any, x: Tensor, y: Tensor) -> int:
    return y.numel()


def _of_input(layer: Any, x: Tensor, y: Tensor) -> int:
    return x.numel()


_POOLINGS = (_MaxPoolNd, _AvgPoolNd, _AdaptiveMaxPoolNd, _AdaptiveAvgPoolNd)
_COSTS: list[tuple[tuple[type, ...], Cost]] = [
    ((_ConvNd, _ConvTransposeNd), _of_convolution),
    ((_NormBase, nn.GroupNorm, nn.LayerNorm), _of_norm),
    ((nn.Linear,), _of_linear),
    ((ReLU, PReLU, ELU, LeakyReLU, ReLU6, nn.Upsample), _of_output),
    (_POOLINGS, _of_input),
]


@contextmanager
def _counted(model: nn.Module) -> Iterator[dict[nn.Module, float]]:
    """A dict that gets what each layer of a known kind costs, for one sample."""
    costs: dict[nn.Module, float] = {}

    def counter(cost: Cost) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def count(layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            costs[layer] = costs.get(layer, 0) + cost(layer, args[0], output) / max(len(args[0]), 1)

        return count

    hooks = []
    for layer in model.modules():
        cost = next((cost for kinds, cost in _COSTS if isinstance(layer, kinds)), None)
        if cost is not None:
            hooks.append(layer.register_forward_hook(counter(cost)))
    try:
        yield costs
    finally:
        for hook in hooks:
            hook.remove()


def get_model_complexity_info(
    model: nn.Module,
    input_shape: tuple[int, ...],
    print_per_layer_stat: bool = True,
    as_strings: bool = True,
    input_constructor: Callable[[tuple[int, ...]], Mapping[str, Any]] | None = None,
    flush: bool = False,
    ost: TextIO | None = None,
) -> tuple[float | str, int | str]:
    """Operations and parameters of a model; a multiply-add counts once, a bias as well.

    Args:
        model: the model; it is put into evaluation mode.
        input_shape: of one sample.
        print_per_layer_stat: write the share of each layer to `ost`.
        as_strings: return texts.
        input_constructor: `input_shape` -> keywords of the forward pass, instead of one tensor.
        flush: flush `ost`.
        ost: where to write; None: stdout.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: `input_shape` is empty.
    """
    if not isinstance(model, nn.Module) or not isinstance(input_shape, tuple):
        raise TypeError(f"a module and a tuple are expected, got {type(model).__name__} and {input_shape!r}")
    if not input_shape:
        raise ValueError("input_shape must not be empty")
    model.eval()
    with torch.no_grad(), _counted(model) as costs:
        if input_constructor is not None:
            model(**input_constructor(input_shape))
        else:
            like = next(model.parameters(), torch.empty(0))
            model(torch.rand(1, *input_shape, dtype=like.dtype, device=like.device))
    flops, parameters = float(sum(costs.values())), get_model_parameters_number(model)
    if print_per_layer_stat:
        text = "\n".join(_described(model, costs, flops or 1, parameters or 1))
        print(text, file=ost or sys.stdout, flush=flush)
    return (flops_to_string(flops), params_to_string(parameters)) if as_strings else (flops, parameters)


def _described(module: nn.Module, costs: Mapping[nn.Module, float], all_costs: float, all_numbers: float) -> list[str]:
    """Lines of a module's text, with its share of the costs."""
    number, cost = get_model_parameters_number(module), sum(costs.get(part, 0) for part in module.modules())
    facts = [
        params_to_string(number, "M", 3),
        f"{number / all_numbers:.3%} Params",
        flops_to_string(cost, "GFLOPs", 3),
        f"{cost / all_costs:.3%} FLOPs",
        module.extra_repr(),
    ]
    text, kind = ", ".join(facts), type(module).__name__
    children = list(module.named_children())
    if not children:
        return [f"{kind}({text})"]
    lines = [f"{kind}(", f"  {text}"]
    for name, child in children:
        first, *rest = _described(child, costs, all_costs, all_numbers)
        lines += [f"  ({name}): {first}", *(f"  {line}" for line in rest)]
    return [*lines, ")"]


def get_model_parameters_number(model: nn.Module) -> int:
    """Numbers that training changes."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _in_unit(number: float, unit: str, precision: int) -> float:
    return round(number / 10 ** _UNITS[unit], precision)


def flops_to_string(flops: float, units: str | None = "GFLOPs", precision: int = 2) -> str:
    """6.54e9 -> "6.54 GFLOPs".

    Args:
        flops: operations.
        units: `"GFLOPs"`, `"MFLOPs"`, `"KFLOPs"`, `"FLOPs"`; None: the largest that fits.
        precision: digits behind the point.
    """
    if units is None:
        unit = next((unit for unit in "GMK" if flops // 10 ** _UNITS[unit] > 0), "")
    else:
        unit = units[0] if units in ("GFLOPs", "MFLOPs", "KFLOPs") else ""
    number = _in_unit(flops, unit, precision) if unit else flops
    return f"{number} {unit}FLOPs"


def params_to_string(num_params: float, units: str | None = None, precision: int = 2) -> str:
    """29140 -> "29.14 k".

    Args:
        num_params: parameters.
        units: `"M"`, `"K"` or `""`; None: the largest that fits, in lower case for thousands.
        precision: digits behind the point.
    """
    if units is None:
        unit = next((unit for unit in "MK" if num_params // 10 ** _UNITS[unit] > 0), "")
        return f"{_in_unit(num_params, unit, precision)} {unit.replace('K', 'k')}" if unit else str(num_params)
    return f"{_in_unit(num_params, units, precision)} {units}" if units in ("M", "K") else str(num_params)
