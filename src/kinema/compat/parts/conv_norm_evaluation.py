"""Batch norms in evaluation as part of the convolutions in front of them, for networks that train so, too.

Source: Tune-Mode ConvBN Blocks, You et al. 2023, arXiv:2305.11624.
"""

from collections.abc import Sequence
from operator import attrgetter

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd


def convolve_and_norm(norm: _BatchNorm, conv: _ConvNd, x: Tensor) -> Tensor:
    """`norm(conv(x))` as one convolution, whose weights the norm's running statistics scale at each call.

    Args:
        norm: with running statistics.
        conv: what is in front of it.
        x: (B, C, ...) input of the convolution.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale = norm.weight * scale
    bias = scale * ((0 if conv.bias is None else conv.bias) - norm.running_mean)
    if norm.bias is not None:
        bias = norm.bias + bias
    weight = conv.weight * scale.reshape(-1, *[1] * (conv.weight.ndim - 1))
    output: Tensor = conv._conv_forward(x, weight, bias)
    return output


def convolve_then_norm(norm: _BatchNorm, conv: _ConvNd, x: Tensor) -> Tensor:
    """`norm(conv(x))`: as one convolution where the norm is in evaluation."""
    if norm.training or norm.running_mean is None:
        output: Tensor = norm(conv(x))
        return output
    return convolve_and_norm(norm, conv, x)


def turn_on_efficient_conv_bn_eval(model: nn.Module, modules: str | Sequence[str]) -> None:
    """Run convolutions and the batch norms behind them as one, where the norm is in evaluation.

    Args:
        model: a network.
        modules: names of its children whose `forward` to change, such as "backbone".
    """
    for name in [modules] if isinstance(modules, str) else modules:
        turn_on_efficient_conv_bn_eval_for_single_model(attrgetter(name)(model))


def turn_on_efficient_conv_bn_eval_for_single_model(model: nn.Module) -> None:
    """Do so for one network, whose `forward` must be one that `torch.fx` can trace."""
    traced = fx.symbolic_trace(model)
    efficient_conv_bn_eval_graph_transform(traced)
    model.forward = traced.forward


def efficient_conv_bn_eval_graph_transform(fx_model: fx.GraphModule) -> None:
    """Replace each convolution whose output goes into a batch norm alone, and that norm, in place."""
    modules = dict(fx_model.named_modules())
    graph = fx_model.graph
    for node in list(graph.nodes):
        if node.op != "call_module" or not isinstance(modules[node.target], _BatchNorm):
            continue
        source = node.args[0] if node.args else None
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) > 1:
            continue
        if not isinstance(modules[str(source.target)], _ConvNd):
            continue
        with graph.inserting_before(source):
            conv = graph.create_node("get_attr", source.target)
            norm = graph.create_node("get_attr", node.target)
            both = graph.call_function(convolve_then_norm, (norm, conv, source.args[0]))
        node.replace_all_uses_with(both)
        graph.erase_node(node)
        graph.erase_node(source)
    graph.lint()
    fx_model.recompile()
