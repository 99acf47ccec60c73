"""Parts of a network that training leaves alone."""

from collections.abc import Iterable

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def freeze(modules: Iterable[nn.Module]) -> None:
    """Put modules into evaluation mode and take their parameters out of training."""
    for module in modules:
        module.eval()
        for parameter in module.parameters():
            parameter.requires_grad = False


def fix_batch_norms(network: nn.Module, *, freeze_parameters: bool = False, kind: type[nn.Module] = _BatchNorm) -> None:
    """Let batch norms of a network use their running statistics, unchanged, also in training.

    Args:
        network: whose batch norms, at any depth, are put into evaluation mode.
        freeze_parameters: also take their weights and biases out of training.
        kind: only batch norms of this class.
    """
    for module in network.modules():
        if isinstance(module, kind):
            module.eval()
            if freeze_parameters:
                for parameter in module.parameters():
                    parameter.requires_grad = False
