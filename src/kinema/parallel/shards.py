"""Tensors of which each process may hold a share (torch's DTensors): whole in the first process, and back."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from kinema.distributed import broadcast_object, get_rank, is_distributed

UNIT_PARAMETERS = 2**18  # fewer are not worth an exchange of their own


def can_shard(device: torch.device) -> bool:
    """Does this torch shard models on such a device? That of 2.6 does on GPUs only."""
    return device.type != "cpu" or hasattr(torch.cpu.current_stream(), "record_event")


def is_sharded(value: Any) -> bool:
    """Is this a tensor of which each process may hold a share?"""
    return hasattr(value, "full_tensor")  # importing DTensor would take a second


def gather(values: Mapping[Any, Any]) -> dict[Any, Any]:
    """Values with whole tensors in place of sharded ones, in the first process.

    All processes call it; the others get tensors without elements for sharded ones.
    """
    return {key: _whole(value) if isinstance(value, Tensor) else value for key, value in values.items()}


def _whole(tensor: Tensor) -> Tensor:
    if not is_sharded(tensor):
        return tensor.detach()
    whole: Tensor = tensor.detach().full_tensor()  # type: ignore[attr-defined]
    # Only this parameter is whole on the device, and all together only in the first process.
    return whole.cpu() if get_rank() == 0 else whole.new_empty(0)


def spread(values: Mapping[Any, Any], like: Callable[[Any], Any], device: torch.device) -> dict[Any, Any]:
    """The reverse of `gather`: what the first process has, in all processes, sharded where wanted.

    Args:
        values: whole; those of the other processes are not used. They share no memory with the
            result.
        like: from a key to a tensor that is sharded as its value shall be, or to anything else.
        device: of this process.
    """
    if not is_distributed():
        return {key: value.detach().clone() if isinstance(value, Tensor) else value for key, value in values.items()}
    first = get_rank() == 0
    outline = broadcast_object({key: _outline(value) for key, value in values.items()} if first else None)
    result = {}
    for key, value in outline.items():
        if isinstance(value, Tensor) and value.is_meta:
            source = values[key].detach() if first else torch.empty_like(value, device=device)
            value = _sent(source.to(device, copy=True).contiguous(), like(key))
        result[key] = value
    return result


def _outline(value: Any) -> Any:
    """What stands for a value in all processes until it is there: a tensor's shape and type, numbers themselves."""
    if isinstance(value, Tensor):
        return torch.empty_like(value, device="meta") if value.dim() else value.detach().cpu().clone()
    return value


def _sent(tensor: Tensor, like: Any) -> Tensor:
    if is_sharded(like) and tensor.shape == like.shape:
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(tensor, like.device_mesh, like.placements)
    dist.broadcast(tensor, 0)
    return tensor


def copy_from_first(tensors: Iterable[Tensor]) -> None:
    """Give plain tensors of all processes the first one's values, in one exchange a type."""
    by_type: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        by_type.setdefault(tensor.dtype, []).append(tensor.detach())
    for group in by_type.values():
        flat = torch.cat([tensor.reshape(-1) for tensor in group])
        dist.broadcast(flat, 0)
        for tensor, part in zip(group, flat.split([tensor.numel() for tensor in group]), strict=True):
            tensor.copy_(part.view_as(tensor))


def units_of(model: nn.Module, least: int = UNIT_PARAMETERS) -> list[nn.Module]:
    """The blocks of a model that are worth an exchange of their own, inner before outer.

    A block is an element of a list or sequence of modules and has submodules: a residual block, a
    transformer block. What no block holds is sharded together with the model.

    Args:
        model: the model.
        least: parameters that a block must have beyond those of blocks inside it.
    """
    uses = Counter(parameter for _, parameter in model.named_parameters(remove_duplicate=False))
    units: list[nn.Module] = []
    taken: set[Tensor] = set()

    def visit(module: nn.Module, is_element: bool) -> None:
        is_list = isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)
        for child in module.children():
            visit(child, is_list)
        own = [parameter for parameter in module.parameters() if parameter not in taken]
        is_block = is_element and not is_list and any(True for _ in module.children())
        # A parameter that two modules share stays with the model.
        if is_block and sum(map(torch.numel, own)) >= least and all(uses[parameter] == 1 for parameter in own):
            units.append(module)
            taken.update(own)

    visit(model, False)
    return units
