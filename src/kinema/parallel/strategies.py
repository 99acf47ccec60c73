"""How a model trains on one process or on several: the only place that knows how many there are.

`SingleDevice` is plain PyTorch. `DataParallel` (DDP) keeps the whole model in every process and
averages gradients. `FullyShard` (FSDP2) keeps a share of parameters, gradients and optimizer state
in each. All three give and take the same whole state, by the names of the user's model: what one
saves, each loads, with any number of processes.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from kinema.distributed import get_world_size, is_main_process
from kinema.errors import CheckpointError, ConfigError
from kinema.models.layers.cpu_sync_batch_norm import separate_batch_norms, synchronise_batch_norms
from kinema.models.wrappers import MMDistributedDataParallel, plain_name, wrapped_places
from kinema.openmmlab import run_files
from kinema.optim.optimizer_state import by_index, by_name, check_entries, kept_settings, listed, nested
from kinema.optim.wrapper import OptimWrapper
from kinema.parallel.shards import copy_from_first, gather, is_sharded, spread, units_of

logger = logging.getLogger("kinema")


class _Losses(nn.Module):
    """`forward` computes the losses of a batch: FSDP needs the work inside `forward`."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, batch: Any) -> Any:
        # Not train_step: one of the user's own would update the parameters itself.
        return self.model._run_forward(self.model.data_preprocessor(batch, True), "loss")


@dataclass(frozen=True)
class Options:
    """Options of training on several processes.

    Attributes:
        broadcast_buffers: buffers, such as the running means of batch norms, are those of the first
            process; False: each process has its own until `align_buffers` averages them.
        sync_bn: batch norms normalise over the batches of all processes.
        find_unused_parameters: of DDP, for models that do not use every trainable parameter in each
            step.
        static_graph: of DDP, which then relies on a step that is the same each time.
    """

    broadcast_buffers: bool = True
    sync_bn: bool = False
    find_unused_parameters: bool = False
    static_graph: bool = False


class Strategy:
    """What training needs to know of other processes: the base of the three below.

    Args:
        device: of this process.
        options: what the user may choose.

    Attributes:
        name: "single", "ddp" or "fsdp2".
        model: the user's model, after `wrap`.
    """

    name: str

    def __init__(self, device: torch.device | str = "cpu", options: Options | None = None) -> None:
        self.device = torch.device(device)
        self.options = options or Options()

    def wrap(self, model: nn.Module) -> nn.Module:
        """Prepare a model, once: on its device, its weights loaded, before the optimizer is built.

        Returns the module that `losses` calls. Parameters keep their names; under `FullyShard` they
        are other objects than before.

        Raises:
            ConfigError: no parameter is trainable.
        """
        model.train()  # backbones freeze parameters here, which DDP must know before
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ConfigError(f"every parameter of {type(model).__name__} is frozen: there is nothing to train")
        if self.name == "single":
            separate_batch_norms(model)
        elif self.device.type == "cpu":
            synchronise_batch_norms(model, every=self.options.sync_bn)
        elif self.options.sync_bn:
            nn.SyncBatchNorm.convert_sync_batchnorm(model)
        self.model: Any = model
        self.module: Any = self._wrapped(model)
        self._places = wrapped_places(model)
        self._names = {parameter: self._plain(name) for name, parameter in model.named_parameters()}
        self._is_warned = False  # of tensors outside of the model
        return self.module

    def _plain(self, name: str) -> str:
        return plain_name(name, self._places)

    def _wrapped(self, model: nn.Module) -> nn.Module:
        return _Losses(model)

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Any]:
        """What a model's `train_step` does, on several processes; only the last batch of a window exchanges gradients.

        Args:
            data: a batch as the loader gives it.
            optim_wrapper: updates the parameters.
        """
        window = optim_wrapper.window
        with self.synchronising(window is None or window.is_last):
            with optim_wrapper.optim_context(self.model):
                losses = self.losses(data)
            loss, logs = self.model.parse_losses(losses)
            optim_wrapper.update_params(loss)
        return dict(logs)

    def losses(self, batch: Any) -> Mapping[str, Tensor]:
        """The losses of a batch as the loader gives it: preprocessed, then `forward(mode="loss")`."""
        losses: Mapping[str, Tensor] = self.module(batch)
        return losses

    def synchronising(self, on: bool) -> AbstractContextManager[None]:
        """Around forward and backward of a batch; off: gradients stay in their process, to be added up."""
        return nullcontext()

    def clip_norm(self, parameters: Iterable[Tensor], max_norm: float, norm_type: float = 2.0) -> Tensor:
        """Scale gradients to a norm of at most `max_norm` over all shards; returns the norm before."""
        return nn.utils.clip_grad_norm_(parameters, max_norm, norm_type)

    def evaluating(self) -> AbstractContextManager[None]:
        """Around an evaluation by the user's model: all processes compute the same, each as often as it likes."""
        self.align_buffers()
        return nullcontext()

    def align_buffers(self) -> None:
        """Make buffers equal in all processes: before an evaluation or a checkpoint. All processes call it."""
        buffers = [buffer for buffer in self.model.buffers() if buffer.device.type != "meta"]
        if not self.options.broadcast_buffers:
            for buffer in filter(torch.is_floating_point, buffers):
                dist.all_reduce(buffer)
                buffer /= get_world_size()
        copy_from_first(buffers)

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The parameters of the user's model, by name."""
        return {name: parameter for parameter, name in self._names.items()}

    # ---- state: whole in the first process, by names

    def full(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Whole tensors of a mapping, such as averaged weights, in the first process; all processes call it."""
        return gather(tensors)

    def model_state(self) -> dict[str, Any]:
        """The whole state dict of the user's model, in the first process. All processes call it."""
        self.align_buffers()
        return gather({self._plain(name): value for name, value in self.model.state_dict().items()})

    def load_model_state(self, state: Mapping[str, Any]) -> None:
        """Load what `model_state` gave the first process. All processes call it.

        Raises:
            CheckpointError: names or shapes are not those of the model.
        """
        present = self.model.state_dict()
        own = {self._plain(name): value for name, value in present.items()}
        new = spread(state, own.get, self.device)
        faults = {
            "missing": own.keys() - new.keys(),
            "not in the model": new.keys() - own.keys(),
            "of another shape": {key for key in own.keys() & new.keys() if _shape_of(own[key]) != _shape_of(new[key])},
        }
        if texts := [f"{what}: {listed(names)}" for what, names in faults.items() if names]:
            raise CheckpointError(f"the state is not that of this {type(self.model).__name__}: {'; '.join(texts)}")
        self.model.load_state_dict({name: new[self._plain(name)] for name in present})

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """The whole state of an optimizer, by parameter names, in the first process. All processes call it.

        Raises:
            ValueError: it updates a tensor that is no parameter of the model.
        """
        named = by_name(optimizer.state_dict(), self._names_of(optimizer))
        return {"state": nested(gather(named["state"])), "groups": named["groups"]}

    def load_optimizer_state(self, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
        """Load what `optimizer_state` gave the first process. All processes call it.

        Raises:
            CheckpointError: its parameters, or their groups, are not those of this optimizer.
        """
        parameters = self.parameters
        flat = {(name, key): value for name, entry in state.get("state", {}).items() for key, value in entry.items()}
        check_entries(optimizer, flat, parameters)
        named = {
            "state": spread(flat, lambda key: parameters.get(key[0]), self.device),
            **spread({"groups": state.get("groups")}, lambda key: None, self.device),
        }
        packed = optimizer.state_dict()
        indexed = by_index(named, packed, self._names_of(optimizer))
        if is_main_process() and (kept := kept_settings(indexed["param_groups"], packed["param_groups"])):
            logger.warning(
                "the optimizer resumes with its settings of the checkpoint: %s; for others start a new run from the"
                " weights (load_from)",
                "; ".join(kept[:4]) + (f" and {len(kept) - 4} more" if len(kept) > 4 else ""),
            )
        optimizer.load_state_dict(indexed)

    def names_in_groups(self, optimizer: torch.optim.Optimizer) -> list[list[str]]:
        """Names of the parameters of each group of an optimizer.

        Code for OpenMMLab may update tensors outside of the model, which checkpoints do not have there either.

        Raises:
            ValueError: a tensor is no parameter of the model.
        """
        tensors = [tensor for group in optimizer.param_groups for tensor in group["params"]]
        shape = next((tuple(tensor.shape) for tensor in tensors if tensor not in self._names), None)
        text = f"the optimizer updates a tensor of shape {shape} that is no parameter of the model"
        if shape is not None and not run_files.also_pth:
            raise ValueError(text)
        if shape is not None and not self._is_warned:
            self._is_warned = True
            logger.warning("%s: checkpoints do not have it, so a resumed run begins with another", text)
        names = iter([self._names.get(tensor, f"outside.{number}") for number, tensor in enumerate(tensors)])
        return [list(islice(names, len(group["params"]))) for group in optimizer.param_groups]

    def _names_of(self, optimizer: torch.optim.Optimizer) -> list[str]:
        return list(chain.from_iterable(self.names_in_groups(optimizer)))


def _shape_of(value: Any) -> Any:
    return getattr(value, "shape", None)  # an extra state has none


class SingleDevice(Strategy):
    """One process: plain PyTorch."""

    name = "single"

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Any]:
        """The model's own, which may be the user's."""
        logs: dict[str, Any] = self.model.train_step(data, optim_wrapper=optim_wrapper)
        return logs

    def align_buffers(self) -> None:
        """Nothing to do."""


class DataParallel(Strategy):
    """The whole model in every process; gradients are averaged while they are computed."""

    name = "ddp"
    _batches = 0

    def _wrapped(self, model: nn.Module) -> nn.Module:
        options = asdict(self.options)
        del options["sync_bn"]
        return MMDistributedDataParallel(model, **options)

    def losses(self, batch: Any) -> Mapping[str, Tensor]:
        """The preprocessor's work is not DDP's."""
        data = self.model.data_preprocessor(batch, True)
        losses: Mapping[str, Tensor] = self.module._run_forward(data, "loss")
        return losses

    def synchronising(self, on: bool) -> AbstractContextManager[None]:
        """Off: `no_sync`."""
        module: Any = self.module
        # In a static graph torch fails at a first batch without an exchange; one too many changes no sum.
        on = on or (self.options.static_graph and self._batches == 0)
        self._batches += 1
        return nullcontext() if on else module.no_sync()


class FullyShard(Strategy):
    """A share of parameters, gradients and optimizer state in each process (FSDP2).

    Whole parameters exist only while their unit, a block of the model, is computed. Autocast
    chooses the precision of computations; gradients are averaged in that of the parameters.
    """

    name = "fsdp2"
    _is_whole = False

    def _wrapped(self, model: nn.Module) -> nn.Module:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        copy_from_first([*model.parameters(), *model.buffers()])
        mesh = init_device_mesh(self.device.type, (get_world_size(),))
        for unit in units_of(model):
            fully_shard(unit, mesh=mesh)
        sharded: Any = fully_shard(model, mesh=mesh)
        # Without a backward pass the outermost unit would stay whole, and names lead to the wrong tensors.
        sharded.register_forward_hook(lambda *_: self._after_forward())
        return _Losses(model)

    def _after_forward(self) -> None:
        if not torch.is_grad_enabled() and not self._is_whole:
            self._each_unit("reshard")

    def _each_unit(self, method: str) -> None:
        for unit in self.model.modules():
            if hasattr(unit, "unshard"):
                getattr(unit, method)()

    def losses(self, batch: Any) -> Mapping[str, Tensor]:
        """Like DDP, with the first process's buffers."""
        if self.options.broadcast_buffers:
            copy_from_first(self.model.buffers())
        return super().losses(batch)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """The model is whole meanwhile: processes may have different numbers of batches."""
        self.align_buffers()
        model: Any = self.model
        if not hasattr(model, "set_reshard_after_forward"):  # torch 2.6: whole for each batch
            yield
            return
        model.set_reshard_after_forward(False)
        self._each_unit("unshard")
        self._is_whole = True
        try:
            yield
        finally:
            self._is_whole = False
            model.set_reshard_after_forward(True)
            self._each_unit("reshard")

    @contextmanager
    def synchronising(self, on: bool) -> Iterator[None]:
        """Off: gradients are kept whole in each process."""
        model: Any = self.model
        model.set_requires_gradient_sync(on)
        try:
            yield
        finally:
            model.set_requires_gradient_sync(True)

    def clip_norm(self, parameters: Iterable[Tensor], max_norm: float, norm_type: float = 2.0) -> Tensor:
        """The norm is that of the whole gradients."""
        norm: Any = super().clip_norm(parameters, max_norm, norm_type)
        return norm.full_tensor() if is_sharded(norm) else norm
