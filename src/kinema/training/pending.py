"""What waits for a later update at a border: batches that an optimizer has counted, and gradients.

An optimizer of several counts its batches by itself, and a model's own `train_step` may leave
gradients behind, as the loss of a generator does in the discriminator. A run that is resumed needs both.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from kinema.distributed import gather_objects, get_rank, get_world_size, is_main_process
from kinema.optim.wrapper_dict import by_optimizer, share_of
from kinema.parallel.shards import is_sharded, spread
from kinema.training.step import TrainStep


def pending_state(step: TrainStep) -> dict[str, Any]:
    """Counts of the optimizers, and gradients. All processes call it; the first one gets those of all.

    Returns:
        `counts` by optimizer, and `gradients`, a dict by parameter name for each process; that of
        another process than the first has only those that differ from the first one's.
    """
    own = {
        name: parameter.grad
        for name, parameter in step.strategy.parameters.items()
        if parameter.grad is not None and not is_sharded(parameter.grad)
    }
    counts = by_optimizer(step.optim_wrapper, lambda wrapper: wrapper.inner_count)
    if get_world_size() == 1 or not any(gather_objects(bool(own))):
        return {"counts": counts, "gradients": [own]}
    return {"counts": counts, "gradients": _of_all(own, step.strategy.parameters)}


def _of_all(own: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """The gradients of all processes, in the first one."""
    everywhere = [set(names) for names in gather_objects(list(own))]
    gradients: list[dict[str, Tensor]] = [{} for _ in everywhere]
    for name, parameter in parameters.items():
        if not any(name in names for names in everywhere):
            continue
        sent = own.get(name, parameter).detach().contiguous()
        got = [torch.empty_like(sent) for _ in everywhere] if is_main_process() else None
        dist.gather(sent, got)
        for rank, tensor in enumerate(got or ()):
            if name in everywhere[rank] and (rank == 0 or not torch.equal(tensor, gradients[0].get(name, parameter))):
                gradients[rank][name] = tensor
    return gradients


def restore_pending(step: TrainStep, state: Mapping[str, Any]) -> None:
    """Put back what `pending_state` gave the first process. All processes call it.

    Where there were other processes, each gets the mean of their gradients.
    """
    flat: dict[Any, Any] = {"counts": state.get("counts"), "processes": len(state.get("gradients", ()))}
    flat |= {(rank, name): grad for rank, own in enumerate(state.get("gradients", ())) for name, grad in own.items()}
    flat = spread(flat, lambda key: None, step.strategy.device)
    counts, processes = flat.pop("counts"), flat.pop("processes")
    if counts is not None:
        for name, wrapper in step.optim_wrapper.wrappers.items():
            wrapper.initialize_count_status(step.model, share_of(counts, name), wrapper.max_counts)
    for name, parameter in step.strategy.parameters.items():
        gradients = [flat.get((rank, name), flat.get((0, name))) for rank in range(processes)]
        if processes == get_world_size():
            parameter.grad = gradients[get_rank()]
        elif there := [gradient for gradient in gradients if gradient is not None]:
            parameter.grad = sum(there[1:], there[0]) / processes
