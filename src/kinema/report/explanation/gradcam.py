"""Grad-CAM of video networks: feature maps, weighted by how much the score of a class depends on them.

Source: Selvaraju et al. 2017, "Grad-CAM", arXiv:1610.02391, section 3, with time as a third axis of
the maps. Departures: the weight of a channel is the sum of its gradients, not the mean, so that the
maps of several pathways (SlowFast) or levels (TPN) can be added; of one map both give the same
picture. Where a linear classifier follows an average over all places, the map is exact: its mean is
the score without the bias.

Of a transformer over tokens that says where they lie (`Backbone.token_maps`) the relevance of a place
is what sets its token apart from the average one, each channel times its own gradient. Where all
places count alike, as in an average, their sum is what the score would lose if that token were an
average one. Where attention reads the tokens, the norms in between let the channels cancel each other,
and their magnitudes are added: how much the score depends on the place, in either direction. It looks
into the last block, or, where the score depends on none of its places (a class token is classified,
which read them in earlier blocks), at what enters the first one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.evaluating import evaluating
from kinema.models.features import TokenMaps, joined_frames
from kinema.report.explanation.explainer import Saliency
from kinema.spelling import nearest

_INPUT = ":input"
_ALIKE = 1e-3  # share of the largest gradient by which those of places that count alike may differ


class GradCam:
    """Grad-CAM of a recognizer: a model with `backbone` and `cls_head` that predicts by `forward(mode="predict")`.

    Nothing is left behind: no hook, no gradient, no changed mode. Only what follows the layer is
    kept for the backward pass, so it needs little more memory than a prediction.

    Args:
        model: the recognizer, such as `kinema.load(...).model`.
        layer: name of the module whose output is weighted, such as "backbone.layer3"; with ":input"
            behind it, of a block over tokens, what enters it. None: the last one of the backbone
            that gives feature maps with height and width.

    Raises:
        ConfigError: the model has no backbone with a head, or no such layer.
    """

    def __init__(self, model: nn.Module, layer: str | None = None) -> None:
        for part in ("backbone", "cls_head"):
            if not isinstance(getattr(model, part, None), nn.Module):
                raise ConfigError(
                    f"Grad-CAM explains recognizers with backbone and cls_head; {type(model).__name__} has no {part}"
                )
        names = [name for name, _ in model.named_modules() if name]
        if layer is not None and layer.removesuffix(_INPUT) not in names:
            near = nearest(layer, names)
            hint = f": did you mean {' or '.join(near)}?" if near else ", whose layers model.named_modules() lists"
            raise ConfigError(f"no layer {layer!r} in {type(model).__name__}{hint}")
        self.model: Any = model
        self.layer = layer

    def explain(self, inputs: Tensor, target: int) -> Saliency:
        """Explain the score of one class.

        Args:
            inputs: one sample, see `Explainer.explain`.
            target: index of the class.

        Raises:
            ValueError: not one sample, or there is no such class.
            ConfigError: the layer gives no maps over height and width, does not run once for each
                clip, or the score does not depend on it.
        """
        if inputs.dim() not in (5, 6) or len(inputs) != 1:
            raise ValueError(
                "expected one sample, (1, views, channels, frames, height, width) or (1, frames, channels, height,"
                f" width), got {tuple(inputs.shape)}"
            )
        with evaluating(self.model), torch.inference_mode(False):
            pieces = inputs.split(1 if inputs.dim() == 6 else joined_frames(self.model) or inputs.shape[1], dim=1)
            layer, first = (self._named(self.layer), None) if self.layer else self._choose(pieces[0])
            explained = [
                self._explain_piece(piece, target, layer, first if place == 0 else None)
                for place, piece in enumerate(pieces)
            ]
        shape = (inputs.shape[1] if inputs.dim() == 6 else 1, -1, *inputs.shape[-2:])
        relevance = torch.cat([maps for maps, _ in explained]).reshape(shape).clamp(min=0)
        peak = relevance.max()
        maps = relevance / peak if peak > 0 else relevance
        score = float(np.mean([score for _, score in explained]))
        return Saliency(maps.numpy(), score, layer.title)

    def _named(self, layer: str) -> "Layer":
        """A layer by its name: whose tokens are laid out, if it is a block over tokens."""
        tokens = token_maps_of(self.model)
        name = layer.removesuffix(_INPUT)
        if tokens is not None and name in _blocks(self.model, tokens):
            return Layer(name, tokens.lay_out, of_input=name != layer)
        if name != layer:
            raise ConfigError(
                f"{layer!r}: only of a block over tokens what enters it can be explained: leave {_INPUT} out"
            )
        return Layer(layer)

    def _choose(self, inputs: Tensor) -> tuple["Layer", "LayerRun | None"]:
        """The layer to look into, and what a prediction gave if that was tried."""
        tokens = token_maps_of(self.model)
        if tokens is not None:
            return self._last_block(inputs, tokens)
        run = run_from_layer(self.model, inputs, Layer("backbone"))
        size = (inputs.shape[-2], inputs.shape[-1])
        if run.maps and all(_has_space(tuple(values.shape), size) for _, values in run.maps):
            return Layer("backbone"), run
        return Layer(_last_map(self.model, inputs)), None

    def _last_block(self, inputs: Tensor, tokens: TokenMaps) -> tuple["Layer", "LayerRun"]:
        """The last block if the scores depend on its places, else the input of the first; and what was predicted."""
        first, *_, last = [*_blocks(self.model, tokens)[:1], *_blocks(self.model, tokens)]
        for layer in (Layer(last, tokens.lay_out), Layer(first, tokens.lay_out, of_input=True)):
            run = run_from_layer(self.model, inputs, layer)
            if run.depends_on_places(layer):
                return layer, run
        raise ConfigError(f"the scores depend on no block of {type(self.model.backbone).__name__}")

    def _explain_piece(
        self, inputs: Tensor, target: int, layer: "Layer", run: "LayerRun | None"
    ) -> tuple[Tensor, float]:
        """(frames, H, W) relevance on the CPU, not normalised, and the mean score."""
        run = run or run_from_layer(self.model, inputs, layer)
        run.check(self.model, layer.title)
        maps, scores = run.maps, torch.cat(run.scores)
        if not 0 <= target < scores.shape[-1]:
            raise ValueError(f"there is no class {target}: the model has {scores.shape[-1]}")
        wanted = scores[:, target]
        outputs = [values for _, values in maps]
        gradients = torch.autograd.grad(wanted.sum(), outputs, allow_unused=True) if wanted.requires_grad else ()
        if all(gradient is None for gradient in gradients):
            raise ConfigError(
                f"the scores do not depend on the layer {layer.title!r}: name one that leads to the classifier"
            )
        num_frames = inputs.shape[3] if inputs.dim() == 6 else inputs.shape[1]
        grid = (num_frames, *inputs.shape[-2:])
        by_output: dict[int, list[Tensor]] = {}
        for (place, values), gradient in zip(maps, gradients, strict=True):
            if gradient is not None:
                maps_ = layer.relevance(values.detach().float(), gradient.float(), run.rest)
                by_output.setdefault(place, []).append(maps_)
        # A layer that ran on some of the rows at a time gave parts, which follow one another in time.
        total = sum(onto_frames(torch.cat(parts), grid) for parts in by_output.values())
        assert isinstance(total, Tensor)
        return total.cpu(), float(wanted.detach().mean())


def weighted_maps(values: Tensor, gradients: Tensor) -> Tensor:
    """Sum of the channels, each weighted by the sum of its gradients.

    Args:
        values: (R, C, T', H', W') of clips, or (R, C, H', W') of single frames.
        gradients: of the score, of the same shape.

    Returns:
        (R, T', H', W'), with T' = 1 of single frames; below 0 where it speaks against the class.
    """
    if values.dim() == 4:
        values, gradients = values[:, :, None], gradients[:, :, None]
    return (gradients.sum(dim=(2, 3, 4), keepdim=True) * values).sum(dim=1)


def onto_frames(maps: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """(R, T', H', W') maps that follow one another in time -> (T, H, W) = grid, linearly interpolated."""
    volume = maps.flatten(0, 1)[None, None]
    return F.interpolate(volume, size=grid, mode="trilinear", align_corners=False)[0, 0]


@dataclass(frozen=True)
class Layer:
    """A layer to look into.

    Attributes:
        name: of the module in the model.
        lay_out: see `TokenMaps`, of a block over tokens; None: it gives maps.
        of_input: what enters it is looked at, not what it gives.
    """

    name: str
    lay_out: Callable[[Any], Tensor] | None = None
    of_input: bool = False

    @property
    def title(self) -> str:
        """By what `GradCam` is asked for it."""
        return self.name + (_INPUT if self.of_input else "")

    def relevance(self, values: Tensor, gradients: Tensor, rest: tuple[Any, ...] = ()) -> Tensor:
        """(R, T', H', W') of what the layer gave; `rest` stood behind its tokens."""
        if self.lay_out is None:
            return weighted_maps(values, gradients)
        laid_out = (self.lay_out((part, *rest) if rest else part) for part in (values, gradients))
        maps, slopes = laid_out
        # The norm behind a token takes its length away, so along the token itself the score has no slope.
        apart = (maps - maps.mean((0, 2, 3, 4), keepdim=True)) * slopes
        differences = (slopes - slopes.mean((0, 2, 3, 4), keepdim=True)).abs().max()
        return (apart if differences <= _ALIKE * slopes.abs().max() else apart.abs()).sum(1)


def token_maps_of(model: Any) -> TokenMaps | None:
    """Where the tokens of a model's backbone lie, if it says so."""
    return model.backbone.token_maps() if isinstance(model.backbone, Backbone) else None


def _blocks(model: Any, tokens: TokenMaps) -> list[str]:
    """Names of the blocks over tokens in the model; the backbone's own where it gives maps."""
    if not tokens.blocks:
        return ["backbone"]
    blocks = model.backbone.get_submodule(tokens.blocks).named_children()
    return [f"backbone.{tokens.blocks}.{name}" for name, _ in blocks]


@dataclass
class LayerRun:
    """What a prediction showed.

    Attributes:
        maps: of the layer, each with its place among the layer's outputs.
        rest: what a block over tokens gave behind its tokens.
        scores: (rows, N) of the head, of each of its calls.
        layer_calls: how often the layer ran.
        backbone_calls: how often the backbone ran, each time on some of the rows.
    """

    maps: list[tuple[int, Tensor]] = field(default_factory=list)
    rest: tuple[Any, ...] = ()
    scores: list[Any] = field(default_factory=list)
    layer_calls: int = 0
    backbone_calls: int = 0

    def depends_on_places(self, layer: Layer) -> bool:
        """Do the scores depend on tokens that lie somewhere, not on a class token alone?"""
        wanted = torch.cat(self.scores).float().square().sum()
        if not wanted.requires_grad:
            return False
        outputs = [values for _, values in self.maps]
        gradients = torch.autograd.grad(wanted, outputs, allow_unused=True, retain_graph=True)
        return any(
            gradient is not None and layer.lay_out is not None and bool(self._laid_out(layer.lay_out, gradient).any())
            for gradient in gradients
        )

    def _laid_out(self, lay_out: Callable[[Any], Tensor], tokens: Tensor) -> Tensor:
        return lay_out((tokens, *self.rest) if self.rest else tokens)

    def check(self, model: Any, layer: str) -> None:
        """Raise `ConfigError` where it cannot be explained."""
        if self.layer_calls > max(self.backbone_calls, 1):
            raise ConfigError(
                f"the layer {layer!r} runs {self.layer_calls} times in a prediction: name one that runs once"
            )
        if not self.maps:
            raise ConfigError(f"the layer {layer!r} gives no maps over height and width: name another")
        if not self.scores or not all(isinstance(logits, Tensor) and logits.dim() == 2 for logits in self.scores):
            raise ConfigError(
                f"{type(model.cls_head).__name__} gives no scores (clips, classes), which Grad-CAM explains"
            )


def run_from_layer(model: Any, inputs: Tensor, layer: Layer) -> LayerRun:
    """Predict, with gradients from a layer on, see `LayerRun`."""
    run = LayerRun()

    def begin(place: int, output: Any) -> Any:
        if not isinstance(output, Tensor) or (layer.lay_out is None and output.dim() not in (4, 5)):
            return output
        values = output.detach().requires_grad_()
        run.maps.append((place, values))
        return values.clone()  # a step that works in place may follow

    def begin_at_input(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        run.layer_calls += 1
        torch.set_grad_enabled(True)
        # A block that gives its tokens in a tuple takes the others of it behind them.
        run.rest = args[1:] if not all(map(torch.is_tensor, args)) else ()
        return (begin(0, args[0]), *args[1:])

    def begin_gradients(_module: nn.Module, _args: Any, output: Any) -> Any:
        run.layer_calls += 1
        torch.set_grad_enabled(True)  # until the block around the prediction ends
        if layer.lay_out is not None and isinstance(output, tuple) and not all(map(torch.is_tensor, output)):
            run.rest = output[1:]
            return (begin(0, output[0]), *output[1:])
        if isinstance(output, tuple | list):
            return type(output)(begin(place, part) for place, part in enumerate(output))
        return begin(0, output)

    def enter_backbone(*_: Any) -> None:
        run.backbone_calls += 1
        torch.set_grad_enabled(False)

    handles = [
        model.backbone.register_forward_pre_hook(enter_backbone),
        model.get_submodule(layer.name).register_forward_pre_hook(begin_at_input)
        if layer.of_input
        else model.get_submodule(layer.name).register_forward_hook(begin_gradients),
        model.cls_head.register_forward_hook(lambda _module, _args, output: run.scores.append(output)),
    ]
    _predict(model, inputs, handles)
    return run


def _predict(model: Any, inputs: Tensor, handles: Sequence[RemovableHandle]) -> None:
    """Run a prediction with hooks, and remove them."""
    try:
        with torch.no_grad():
            model(inputs, mode="predict")
    finally:
        for handle in handles:
            handle.remove()


def _last_map(model: Any, inputs: Tensor) -> str:
    """Name of the last module of the backbone that gives maps over height and width.

    Raises:
        ConfigError: there is none, or it stands so far in front that it shows little of the network.
    """
    calls: list[tuple[str, Any]] = []
    names = {module: name for name, module in model.named_modules()}

    def note(module: nn.Module, _args: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple | list) and output else output
        calls.append((names[module], tuple(first.shape) if isinstance(first, Tensor) else ()))

    _predict(model, inputs, [module.register_forward_hook(note) for module in model.backbone.modules()])
    order = [name for name, _ in calls]
    fewest = min((order.count(name) for name in set(order)), default=0)
    fitting = [
        place
        for place, (name, shape) in enumerate(calls)
        if _has_space(shape, (inputs.shape[-2], inputs.shape[-1])) and order.count(name) == fewest
    ]
    late = [place for place in fitting if place >= len(calls) // 2]
    if not late:
        what = f"only at its beginning ({order[fitting[-1]]})" if fitting else "nowhere"
        raise ConfigError(
            f"Grad-CAM needs feature maps over height and width, which {type(model.backbone).__name__} has {what}:"
            " name a layer that gives (rows, channels, [frames,] height, width)"
        )
    # Within a block, a layer sees one of the branches only: the outermost modules come first.
    outermost = min(order[place].count(".") for place in late)
    return [order[place] for place in late if order[place].count(".") == outermost][-1]


def _has_space(shape: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Is an output of this shape (rows, channels, [frames,] height, width), of pictures of this size?"""
    if len(shape) not in (4, 5) or min(shape[-2:]) < 2 or shape[-2] > size[0] or shape[-1] > size[1]:
        return False
    ratio = (size[0] / shape[-2]) / (size[1] / shape[-1])  # of the distances of places, down and across
    return 0.5 < ratio < 2
