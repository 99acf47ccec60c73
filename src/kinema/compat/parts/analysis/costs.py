"""What operations of a traced graph cost: functions (inputs, outputs) -> number, of `torch._C.Value`s.

Multiply-adds count once. Norms, upsampling and pooling are counted by elements.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

Values = Sequence[Any]
Handle = Callable[[Values, Values], Counter[str] | float]


def get_shape(val: Any) -> list[int] | None:
    """The sizes of a traced tensor; None of any other value."""
    return list(val.type().sizes()) if val.isCompleteTensor() else None


def _shape(val: Any) -> list[int]:
    shape = get_shape(val)
    if shape is None:
        raise ValueError(f"a tensor of known shape is expected, got {val}")
    return shape


def addmm_flop_jit(inputs: Values, outputs: Values) -> float:
    """`addmm(bias, a, b)`."""
    return matmul_flop_jit(inputs[1:3], outputs)


def linear_flop_jit(inputs: Values, outputs: Values) -> float:
    """`linear(x, weight)`."""
    return prod(_shape(inputs[0])) * _shape(inputs[1])[0]


def bmm_flop_jit(inputs: Values, outputs: Values) -> float:
    """`bmm(a, b)`."""
    return matmul_flop_jit(inputs, outputs)


def matmul_flop_jit(inputs: Values, outputs: Values) -> float:
    """`matmul(a, b)`: what `a` has, once for each column of `b`; with batches of `b` alone, for each of these."""
    first, second = _shape(inputs[0]), _shape(inputs[1])
    columns = second[-1] if len(second) > 1 else 1
    batches = prod(second[:-2]) if len(first) <= 2 else 1
    return prod(first) * columns * batches


def conv_flop_count(
    x_shape: Sequence[int], w_shape: Sequence[int], out_shape: Sequence[int], transposed: bool = False
) -> float:
    """Multiply-adds of a convolution from the shapes of input, weight and output."""
    return x_shape[0] * prod(w_shape) * prod((x_shape if transposed else out_shape)[2:])


def conv_flop_jit(inputs: Values, outputs: Values) -> Counter[str]:
    """`_convolution(x, weight, ...)`, as `conv`."""
    transposed = inputs[6].toIValue()
    return Counter(conv=conv_flop_count(_shape(inputs[0]), _shape(inputs[1]), _shape(outputs[0]), transposed))  # type: ignore[call-overload]


def attention_flop_jit(inputs: Values, outputs: Values) -> float:
    """`scaled_dot_product_attention(query, key, value)`: its two products of matrices."""
    query, key, value = (_shape(tensor) for tensor in inputs[:3])
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def einsum_flop_jit(inputs: Values, outputs: Values) -> float:
    """`einsum(equation, tensors)`, contracted in the best order."""
    equation = inputs[0].toIValue().replace(" ", "")
    shapes = [_shape(tensor) for tensor in inputs[1].node().inputs()]
    if len(shapes) == 2:  # every combination of letters is one multiply-add
        sizes: dict[str, int] = {}
        for letters, shape in zip(equation.partition("->")[0].split(","), shapes, strict=True):
            sizes.update(zip(letters, shape, strict=True))
        summed = any(letter not in equation.partition("->")[2] for letter in sizes)
        return prod(sizes.values()) if summed else prod(sizes.values()) // 2
    report = np.einsum_path(equation, *(np.empty(shape) for shape in shapes), optimize="optimal")[1]
    line = next(line for line in report.splitlines() if "optimized flop" in line.lower())
    return np.floor(float(line.partition(":")[2]) / 2)


def norm_flop_counter(affine_arg_index: int) -> Handle:
    """Of a norm: 5 for each element, 4 without weights, which are argument `affine_arg_index`."""

    def count(inputs: Values, outputs: Values) -> float:
        return prod(_shape(inputs[0])) * (4 if get_shape(inputs[affine_arg_index]) is None else 5)

    return count


def batchnorm_flop_jit(inputs: Values, outputs: Values) -> float:
    """`batch_norm(x, weight, bias, mean, variance, training, ...)`: in evaluation an affine map."""
    if inputs[5].toIValue():
        return norm_flop_counter(1)(inputs, outputs)  # type: ignore[return-value]
    return prod(_shape(inputs[0])) * (1 if get_shape(inputs[1]) is None else 2)


def elementwise_flop_counter(input_scale: float = 1, output_scale: float = 0) -> Handle:
    """So much for each element of the first input, and of the output."""

    def count(inputs: Values, outputs: Values) -> float:
        cost: float = 0
        if input_scale:
            cost += input_scale * prod(_shape(inputs[0]))
        if output_scale:
            cost += output_scale * prod(_shape(outputs[0]))
        return cost

    return count


def generic_activation_jit(op_name: str | None = None) -> Handle:
    """The elements of the output, as `op_name`."""

    def count(inputs: Values, outputs: Values) -> Counter[str] | float:
        elements = prod(_shape(outputs[0]))
        return elements if op_name is None else Counter({op_name: elements})

    return count


FLOP_HANDLES: dict[str, Handle] = {
    "aten::addmm": addmm_flop_jit,
    "aten::bmm": bmm_flop_jit,
    "aten::mm": matmul_flop_jit,
    "aten::matmul": matmul_flop_jit,
    "aten::linear": linear_flop_jit,
    "aten::_convolution": conv_flop_jit,
    "aten::einsum": einsum_flop_jit,
    "aten::scaled_dot_product_attention": attention_flop_jit,
    "aten::batch_norm": batchnorm_flop_jit,
    "aten::group_norm": norm_flop_counter(2),
    "aten::layer_norm": norm_flop_counter(2),
    "aten::instance_norm": norm_flop_counter(1),
    "aten::upsample_nearest2d": elementwise_flop_counter(0, 1),
    "aten::upsample_bilinear2d": elementwise_flop_counter(0, 4),
    "aten::adaptive_avg_pool2d": elementwise_flop_counter(1, 0),
    "aten::grid_sampler": elementwise_flop_counter(0, 4),
}
ACTIVATION_HANDLES: dict[str, Handle] = {
    "aten::_convolution": generic_activation_jit("conv"),
    **dict.fromkeys(
        ("aten::addmm", "aten::bmm", "aten::einsum", "aten::matmul", "aten::linear"), generic_activation_jit()
    ),
}

# Operations that cost next to nothing: they move, choose, compare or cut values.
_FREE = """
    Int ScalarImplicit __and__ arange bitwise_not cat chunk clamp clamp_ constant_pad_nd contiguous copy_ detach
    dropout empty eq expand flatten floor floor_divide full ge gt index index_put_ max nonzero permute relu relu_
    remainder reshape roll select size slice split split_with_sizes squeeze stack t to transpose type_as unbind
    unsqueeze unsqueeze_ view zeros zeros_like
"""
FREE = {f"aten::{name}" for name in _FREE.split()}
