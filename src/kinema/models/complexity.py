"""Parameters and multiply-adds of a model, layer by layer, without computing anything.

    model = zoo.create_model("slowonly_r50")
    count = complexity.count_operations(model, zoo.card("slowonly_r50").input.view_shape())
    print(count.parameters, count.multiply_adds)

Papers and OpenMMLab call the multiply-adds of convolutions, linear layers and matrix products
FLOPs, and so do the zoo's cards.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from kinema.errors import ConfigError
from kinema.models.evaluating import evaluating
from kinema.models.recognition import BaseRecognizer

aten = torch.ops.aten

Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerCount:
    """What one module of a model costs; its children are part of it.

    Attributes:
        path: its place, such as `"backbone.layer1.0.conv1"`; `""` is the whole model.
        type: name of its class.
        parameters: numbers to learn.
        own_parameters: those of them that are in none of its children.
        output_shapes: shapes of the tensors that it returned, last time; empty: it was not called,
            or returns something else.
        multiply_adds: of convolutions, linear layers and matrix products (attention, non-local
            blocks).
        element_ops: cheap steps, which the count of multiply-adds leaves out: two for each element
            that a norm gives, one for each that a ReLU gives or that is pooled or averaged.
    """

    path: str
    type: str
    parameters: int
    own_parameters: int
    output_shapes: tuple[Shape, ...]
    multiply_adds: int
    element_ops: int

    @property
    def depth(self) -> int:
        """How deep it lies: 0 the model, 1 its backbone."""
        return self.path.count(".") + 1 if self.path else 0


@dataclass(frozen=True)
class OperationCount:
    """What a model costs for one input.

    Attributes:
        input_shape: of the input.
        layers: all modules, each before its children, first the model itself. A module with several
            places has the first.
    """

    input_shape: Shape
    layers: tuple[LayerCount, ...]

    @property
    def parameters(self) -> int:
        """Numbers to learn of the model."""
        return self.layers[0].parameters

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the model."""
        return self.layers[0].multiply_adds

    @property
    def element_ops(self) -> int:
        """Cheap steps of the model, see `LayerCount`."""
        return self.layers[0].element_ops

    def to_depth(self, depth: int) -> tuple[LayerCount, ...]:
        """The layers that lie at most so deep."""
        return tuple(layer for layer in self.layers if layer.depth <= depth)

    def as_dict(self) -> dict[str, Any]:
        """All of it in plain dicts, tuples, texts and numbers, as JSON holds them."""
        totals = {key: getattr(self, key) for key in ("parameters", "multiply_adds", "element_ops")}
        return {"input_shape": self.input_shape, **totals, "layers": [asdict(layer) for layer in self.layers]}


def count_operations(model: nn.Module, input_shape: Sequence[int]) -> OperationCount:
    """Count parameters and operations of a forward pass in evaluation, on torch's `meta` device.

    Nothing is computed and the model stays as it is, on any device, of any size.

    Args:
        model: any module that takes one tensor. A recognizer with a head is asked for its
            prediction.
        input_shape: of that tensor: for `Recognizer3D` (B, V, C, T, H, W), for `Recognizer2D` (B,
            S, C, H, W).

    Raises:
        ValueError: `input_shape` is no shape.
        ConfigError: the model asks for the values of tensors, which there are none of.
        Exception: what the model says of an input that does not fit.
    """
    shape = tuple(input_shape)
    if not shape or not all(isinstance(size, int) and size > 0 for size in shape):
        raise ValueError(f"input_shape must be whole numbers from 1, got {input_shape!r}")
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    kind = next((tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()), torch.float32)
    inputs = torch.empty(shape, dtype=kind, device="meta")
    options = {"mode": "predict"} if isinstance(model, BaseRecognizer) and model.cls_head is not None else {}
    counter = FlopCounterMode(display=False, custom_mapping=_ELEMENT_OPS)
    with evaluating(model), _recorded_shapes(model) as shapes, torch.no_grad(), counter:
        try:
            functional_call(
                model, {name: tensor.detach().to("meta") for name, tensor in tensors.items()}, (inputs,), options
            )
        except (RuntimeError, TypeError) as error:
            if "meta" not in str(error):
                raise
            raise ConfigError(
                f"cannot count {type(model).__name__}: counting has only the shapes of tensors, but the model asks for"
                f" values, or has tensors that are neither parameters nor buffers ({error}). Count its parts, such as"
                " model.backbone"
            ) from error
    return OperationCount(shape, _layers(model, counter.get_flop_counts(), shapes))


def _layers(
    model: nn.Module, counts: dict[str, dict[Any, int]], shapes: dict[nn.Module, tuple[Shape, ...]]
) -> tuple[LayerCount, ...]:
    # Torch counts by name: that of the model is its class's. Of several places of a module it takes
    # one.
    places: dict[nn.Module, list[str]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        places.setdefault(module, []).append(path)
    root = type(model).__name__

    def steps(module: nn.Module) -> tuple[int, int]:
        if module not in shapes:  # nothing calls it: its parent calls its children
            return _sum([steps(child) for child in module.children()])
        names = ["Global"] if module is model else [f"{root}.{path}" for path in places[module]]
        return _sum([_split(counts.get(name, {})) for name in names])

    layers = []
    for module, paths in places.items():
        multiply_adds, element_ops = steps(module)
        layers.append(
            LayerCount(
                path=paths[0],
                type=type(module).__name__,
                parameters=sum(parameter.numel() for parameter in module.parameters()),
                own_parameters=sum(parameter.numel() for parameter in module.parameters(recurse=False)),
                output_shapes=shapes.get(module, ()),
                multiply_adds=multiply_adds,
                element_ops=element_ops,
            )
        )
    return tuple(layers)


def _split(counts: dict[Any, int]) -> tuple[int, int]:
    """Torch's counts by operation -> multiply-adds, of which it takes each for two, and element_ops."""
    elements = sum(number for operation, number in counts.items() if operation in _ELEMENT_OPS)
    return (sum(counts.values()) - elements) // 2, elements


def _sum(pairs: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return sum(first for first, _ in pairs), sum(second for _, second in pairs)


@contextmanager
def _recorded_shapes(model: nn.Module) -> Iterator[dict[nn.Module, tuple[Shape, ...]]]:
    """A dict that gets the shapes of what each module returns."""
    shapes: dict[nn.Module, tuple[Shape, ...]] = {}

    def record(module: nn.Module, args: Any, output: Any) -> None:
        outputs = output if isinstance(output, tuple | list) else (output,)
        shapes[module] = tuple(tuple(output.shape) for output in outputs if isinstance(output, Tensor))

    hooks = [module.register_forward_hook(record) for module in model.modules()]
    try:
        yield shapes
    finally:
        for hook in hooks:
            hook.remove()


def _of_input(times: int) -> Callable[..., int]:
    """Formula of an operation with so many steps for each element of its first argument."""

    def count(shape: Sequence[int], *args: Any, **kwargs: Any) -> int:
        return times * torch.Size(shape).numel()

    return count


# Norms give, and ReLUs too, as many elements as they get.
_ELEMENT_OPS: dict[Any, Callable[..., int]] = {
    aten.native_batch_norm: _of_input(2),
    aten._native_batch_norm_legit: _of_input(2),
    aten._native_batch_norm_legit_no_training: _of_input(2),
    aten.native_group_norm: _of_input(2),
    aten.native_layer_norm: _of_input(2),
    aten.relu: _of_input(1),
    aten.relu_: _of_input(1),
    aten.hardtanh: _of_input(1),  # ReLU6
    aten.hardtanh_: _of_input(1),
    aten.leaky_relu: _of_input(1),
    aten.leaky_relu_: _of_input(1),
    aten.max_pool2d_with_indices: _of_input(1),
    aten.max_pool3d_with_indices: _of_input(1),
    aten.avg_pool2d: _of_input(1),
    aten.avg_pool3d: _of_input(1),
    aten._adaptive_avg_pool2d: _of_input(1),
    aten._adaptive_avg_pool3d: _of_input(1),
    aten.mean: _of_input(1),
}
