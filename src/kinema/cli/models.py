"""`kinema models`: what can be trained, what it costs, what published weights reach."""

import sys
import textwrap
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinema.cli.options import Json
from kinema.cli.output import print_json, print_lines, print_table, terminal_width
from kinema.errors import ConfigError
from kinema.memory import collections_paused

if TYPE_CHECKING:
    from rich.text import Text

    from kinema.models.complexity import LayerCount, OperationCount, Shape
    from kinema.models.zoo import Card, InputSpec

_WILDCARDS = frozenset("*?[")
_BETWEEN = 3  # characters between the columns of a table
_WIDTH_OF_TYPES = 92  # columns of a terminal below which the types of layers are left out
_DEPTH = 2
_SHORT = {
    **{f"Kinetics-{count}": f"K{count}" for count in (400, 600, 700, 710)},
    **{f"Something-Something V{version}": f"SSv{version}" for version in (1, 2)},
    "Moments in Time V1": "MiT",
}
_LEGEND = """\
params: millions. GFLOPs: billions of multiply-adds for one such input.
input: frames x their distance, or frames spread over the video; then pixels.
top-1: percent that published weights reach on Kinetics (K400, ...) or
Something-Something (SSv1, SSv2); views: clips x crops that were averaged.
weights: licence, and a link to the file; NC: no commercial use; encoder: without
a classifier. The terms of the data apply as well.
One model in full: kinema models NAME; its layers: kinema models NAME --layers"""


def models(
    pattern: Annotated[str, typer.Argument(help="A name, or names with wildcards, e.g. '*r50*'.")] = "*",
    weights: Annotated[bool, typer.Option("--weights", help="Show each model in full, with its weights.")] = False,
    layers: Annotated[bool, typer.Option("--layers", help="Count one model layer by layer.")] = False,
    depth: Annotated[
        int | None, typer.Option(help="Levels of layers inside layers.", min=1, show_default=str(_DEPTH))
    ] = None,
    as_json: Json = False,
) -> None:
    """List the models that `kinema train --model` knows; a single name shows that model in full."""
    if depth is not None and not layers:
        raise typer.BadParameter("it goes with --layers", param_hint="--depth")
    cards = _matching(pattern)
    if layers:
        _show_layers(cards, _DEPTH if depth is None else depth, as_json)
    elif as_json:
        print_json([card.as_dict() for card in cards])
    elif weights or not _WILDCARDS.intersection(pattern):
        print_lines("\n\n".join(_in_full(card) for card in cards))
    else:
        _show_list(cards)


def _matching(pattern: str) -> list["Card"]:
    with collections_paused():
        from kinema.models import zoo

    if not _WILDCARDS.intersection(pattern):
        return [zoo.card(pattern)]
    names = zoo.names(pattern)
    if not names:
        plain = "".join(letter for letter in pattern if letter not in _WILDCARDS | {"]"})
        raise ConfigError(f"no model is called like {pattern!r}: {zoo.names_instead(plain)}")
    return [zoo.card(name) for name in names]


# ---- the list


def _show_list(cards: list["Card"]) -> None:
    columns = ["name", "params", "GFLOPs", "input", "top-1", "views", "weights"]
    rows = [[*_row(card), _weights(card)] for card in cards]
    shown = _num_fitting([columns, *rows], terminal_width())
    print_table("", columns[:shown], [row[:shown] for row in rows])
    print_lines(_LEGEND, to_stderr=True)


def _num_fitting(rows: Sequence["Sequence[str | Text]"], width: int) -> int:
    """How many columns of a table, from the left, a terminal shows without a broken line."""
    ends = accumulate(max(map(len, column)) + _BETWEEN for column in zip(*rows, strict=True))
    return max(1, sum(end - 1 <= width for end in ends))


def _row(card: "Card") -> list[str]:
    spec, result = card.input, card.result
    seen = f"{spec.num_frames} spread" if _is_spread(spec) else f"{spec.clip_len} x {spec.frame_interval}"
    row = [card.name, f"{card.params_millions:.2f}", f"{card.gflops:.2f}", f"{seen}, {spec.size}"]
    if result is None:
        return [*row, "", ""]
    return [*row, f"{result.top1:.2f} {_SHORT.get(result.dataset, result.dataset)}", result.protocol]


def _weights(card: "Card") -> "str | Text":
    """The licence with a link to the file, which a reader of plain text gets in words."""
    from rich.text import Text

    weights = card.weights or card.encoder
    if weights is None:
        return ""
    what = weights.licence if card.weights else f"{weights.licence}, encoder"
    if sys.stdout.isatty():
        return Text(what, style=f"link {weights.url}")
    return f"{what} {weights.url}"


def _is_spread(spec: "InputSpec") -> bool:
    """The model sees frames from all of the video, not a clip."""
    return spec.spread or (spec.format_shape == "NCHW" and spec.num_clips > 1)


# ---- one model in full


def _in_full(card: "Card") -> str:
    spec, result = card.input, card.result
    facts = {
        "what": card.description,
        "source": card.source,
        "parameters": f"{card.params_millions:.2f} million, with {card.num_classes} classes",
        "input": _input(spec),
        "cost": f"{card.gflops:.2f} GFLOPs (billions of multiply-adds) for such an input{_stated(card)}",
    }
    if result is None:
        facts["weights"] = "none published"
    else:
        top5 = "" if result.top5 is None else f", top-5 {result.top5:.2f} %"
        facts["result"] = f"top-1 {result.top1:.2f} %{top5} on {result.dataset}"
        facts["measured"] = f"over {result.protocol} views (clips x crops) of {result.size} px"
        if result.config:
            facts["config"] = result.config
        facts["weights"] = "the file is not published"
    for name, weights in (("encoder", card.encoder), ("weights", card.weights)):
        if weights is not None:
            facts[name] = weights.url
            if weights.head_url:
                facts["classifier"] = weights.head_url
            if name == "encoder" and card.weights is None:
                del facts["weights"]
            refused = " (no commercial use)" if weights.non_commercial else ""
            facts["licence"] = f"{weights.licence}{refused}. {weights.origin}"
    width = min(max(terminal_width(), 40), 120)
    lines = [card.name]
    for name, text in facts.items():
        # An address or a name stays in one piece, so that it can be copied.
        lines += textwrap.wrap(
            text,
            width,
            initial_indent=f"  {name:<12}",
            subsequent_indent=" " * 14,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def _input(spec: "InputSpec") -> str:
    kind = "of optical flow " if spec.modality == "Flow" else ""
    size = f"{spec.size} x {spec.size} pixels"
    if not _is_spread(spec):
        return f"clips of {spec.clip_len} frames {kind}{spec.frame_interval} apart, {size}"
    if spec.spread:
        return f"clips of {spec.clip_len} frames {kind}spread over all of the video, {size}"
    if spec.clip_len == 1:
        return f"{spec.num_clips} single frames {kind}from all of the video, {size}"
    return f"{spec.num_clips} times {spec.clip_len} frames {kind}from all of the video, {size}"


def _stated(card: "Card") -> str:
    cost = card.stated_cost
    if cost is None:
        return ""
    beside = "norms" if cost.counts == "norms" else "norms, ReLUs and pooling"
    return f"; published: {cost.gflops:.2f} for {cost.frames} frames of {cost.size} px, {beside} counted too"


# ---- layers


def _show_layers(cards: list["Card"], depth: int, as_json: bool) -> None:
    if len(cards) > 1:
        raise ConfigError(f"--layers counts one model, but {len(cards)} match: give one of {_some(cards)}")
    card = cards[0]
    count = _count(card)
    if as_json:
        facts = count.as_dict()
        kept = [
            layer for layer, complexity in zip(facts["layers"], count.layers, strict=True) if complexity.depth <= depth
        ]
        print_json({"name": card.name, **facts, "layers": kept})
        return
    columns = ["layer", "type", "output", "params", "GFLOPs", "share"]
    shown = [layer for layer in count.to_depth(depth) if layer.parameters or layer.multiply_adds]
    rows = [_layer_row(layer, card.name, count) for layer in shown]
    if terminal_width() < _WIDTH_OF_TYPES:
        columns, rows = columns[:1] + columns[2:], [row[:1] + row[2:] for row in rows]
    print_table("", columns, rows)
    print_lines(
        f"For an input of {_by(count.input_shape)}. params: millions. GFLOPs: billions of\n"
        "multiply-adds. A layer's figures include those of the layers inside it;\n"
        f"--depth {depth + 1} shows more of these.",
        to_stderr=True,
    )


def _layer_row(layer: "LayerCount", model: str, count: "OperationCount") -> list[str]:
    gflops = f"{layer.multiply_adds / 1e9:.3f}" if layer.multiply_adds else "0"
    return [
        "  " * layer.depth + (layer.path.rpartition(".")[2] or model),
        layer.type,
        ", ".join(map(_by, layer.output_shapes)),
        f"{layer.parameters / 1e6:.3f}",
        gflops,
        f"{layer.multiply_adds / max(count.multiply_adds, 1):.1%}",
    ]


def _by(shape: "Shape") -> str:
    return "x".join(map(str, shape))


def _some(cards: list["Card"]) -> str:
    names = [card.name for card in cards[:3]]
    return ", ".join(names) + (", ..." if len(cards) > len(names) else "")


def _count(card: "Card") -> "OperationCount":
    import torch

    from kinema.models import zoo
    from kinema.models.complexity import count_operations
    from kinema.registry import MODELS

    config: dict[str, Any] = zoo.model_config(card.name)
    with torch.device("meta"):  # weights of no memory
        model = MODELS.build(config)
    return count_operations(model, card.input.view_shape())
