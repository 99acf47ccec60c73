"""MMEngine's names on a run, which users' hooks and scripts read."""

from typing import Any

from kinema.checkpoints.contract import ModelContract
from kinema.distributed import get_rank, get_world_size
from kinema.engine.assembly import contract_of
from kinema.engine.plan import RunPlan
from kinema.engine.run import Run
from kinema.optim.wrapper import OptimWrapper


class RunnerNames(Run):
    """A `Run` with the names that MMEngine's runner has beside those of `Run`."""

    plan: RunPlan
    _contract: ModelContract | None = None

    def contract(self) -> ModelContract:
        """What the checkpoints of the run say of the model: its config, classes, sampling."""
        if self._contract is None:
            self._contract = contract_of(self.plan, self.model, self.classes)
        return self._contract

    @property
    def max_epochs(self) -> int:
        """Epochs of the training; 0 where it is not counted in epochs."""
        return 0 if self.plan.until is None else self.plan.until.epochs or 0

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return self.progress.epoch

    @property
    def iter(self) -> int:
        """Batches that are done."""
        return self.progress.iteration

    @property
    def best(self) -> dict[str, Any]:
        """The best validation so far."""
        return self.progress.best

    @property
    def optim_wrapper(self) -> OptimWrapper:
        """What updates the weights."""
        assert self.train_step is not None  # training has begun
        return self.train_step.optim_wrapper

    @property
    def param_schedulers(self) -> list[Any]:
        """The schedules of learning rate and momentum."""
        return self.schedules

    @property
    def rank(self) -> int:
        """Number of this process."""
        return get_rank()

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return get_world_size()

    @property
    def classes(self) -> list[str]:
        """Class names of the training data, or of what is evaluated; empty when unknown."""
        loop = self.train_loop or self.val_loop or self.test_loop
        metainfo = getattr(loop.dataloader.dataset, "metainfo", None) or {}
        return list(metainfo.get("classes") or [])
