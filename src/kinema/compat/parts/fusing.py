"""Batch norms multiplied into the convolutions in front of them, for inference."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights


def fuse_conv_bn(module: nn.Module) -> nn.Module:
    """Fold every batch norm that follows a convolution among its parent's children into it, in place.

    The norm becomes `nn.Identity`; parts that look it up, such as `ConvModule`, keep working.

    Args:
        module: the network, in evaluation: the folded norm uses its running statistics.

    Returns:
        `module`.
    """
    conv: nn.Conv2d | None = None
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm | nn.SyncBatchNorm):
            if conv is not None and child.running_mean is not None and child.running_var is not None:
                conv.weight, conv.bias = fuse_conv_bn_weights(
                    conv.weight, conv.bias, child.running_mean, child.running_var, child.eps, child.weight, child.bias
                )
                module._modules[name] = nn.Identity()
            conv = None
        elif isinstance(child, nn.Conv2d):
            conv = child
        else:
            fuse_conv_bn(child)
    return module
