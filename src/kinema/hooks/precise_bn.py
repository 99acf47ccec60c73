"""Running statistics of batch norms, computed afresh over many training batches."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

import torch
import torch.distributed as dist
from torch.nn.modules.batchnorm import _BatchNorm

from kinema.datasets.loader import ReproducibleLoader
from kinema.distributed import get_world_size
from kinema.errors import ConfigError
from kinema.hooks.hook import Hook
from kinema.models.layers.sub_batch_norm import SubBatchNorm3D
from kinema.randomness import capture_state, restore_state, seeded
from kinema.registry import HOOKS
from kinema.training.progress import Every, Mark, Progress
from kinema.training.run import Run


@HOOKS.register_module()
class PreciseBNHook(Hook):
    """Average the statistics of batch norms over training batches with the present weights, before a validation.

    The batches are the first of an epoch, the same in a resumed run; the training itself sees no
    difference. The weights are those that an evaluation uses. Each process computes its share.

    Args:
        num_iters: batches, of each process.
        interval: epochs between two times, or a text such as "500steps"; and at the end.

    Raises:
        ConfigError: `num_iters` or the interval is below 1, or the training loader is none of
            Kinema's.

    Source: Wu and Johnson 2021, arXiv:2105.07576.
    """

    priority = 74  # before ValidationHook

    def __init__(self, num_iters: int = 200, interval: int | str = 1) -> None:
        if num_iters < 1:
            raise ConfigError(f"PreciseBNHook: num_iters must be at least 1, got {num_iters}")
        self.num_iters = num_iters
        self.every = Every.parse(
            interval if isinstance(interval, str) else f"{interval}epochs", "PreciseBNHook.interval"
        )
        self._mark: Mark = Progress().mark()

    def at_border(self, runner: Run) -> None:
        progress = runner.progress
        if progress.mark() == self._mark:
            return
        is_due = self.every.due(progress, self._mark) or runner.train_loop.until.reached(progress)
        self._mark = progress.mark()
        norms = [
            m for m in runner.network.modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats
        ]
        if is_due and norms:
            self._recompute(runner, norms)

    @torch.no_grad()
    def _recompute(self, runner: Run, norms: list[_BatchNorm]) -> None:
        loader, model, step = runner.train_loop.dataloader, runner.network, runner.train_step
        assert step is not None
        if not isinstance(loader, ReproducibleLoader):
            raise ConfigError("PreciseBNHook: train_dataloader must be a config, or a loader of build_dataloader")
        momenta, generators = [norm.momentum for norm in norms], capture_state(runner.device)
        try:
            with runner.evaluated_weights(), seeded(runner.seed, runner.progress.step):
                for norm in norms:
                    norm.reset_running_stats()
                    norm.momentum = None  # the plain mean over batches
                for batch in islice(loader.twin().from_position(runner.progress.epoch), self.num_iters):
                    with next(iter(step.optim_wrapper.wrappers.values())).optim_context(model):
                        model._run_forward(model.data_preprocessor(batch, True), "loss")
        finally:
            restore_state(generators, runner.device)
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
        if get_world_size() > 1:
            for buffer in (buffer for norm in norms for buffer in (norm.running_mean, norm.running_var)):
                assert buffer is not None
                dist.all_reduce(buffer)
                buffer /= get_world_size()
            for split in (module for module in model.modules() if isinstance(module, SubBatchNorm3D)):
                split.aggregate_stats()

    def state_dict(self) -> dict[str, Any]:
        return {"mark": dict(self._mark)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._mark = state["mark"]
