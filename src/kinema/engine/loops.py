"""The loops: training by epochs, validation, test.

They call the model and the hooks; the runner holds the state.
"""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

from kinema.datasets.broken import BrokenSample, num_allowed
from kinema.distributed import is_main_process
from kinema.engine.schedules import Position
from kinema.errors import KinemaError, VideoError
from kinema.evaluation import Evaluator, evaluate_loader
from kinema.registry import LOOPS
from kinema.runs.records import Averages, Stopwatch, format_figures, without_repetition

if TYPE_CHECKING:
    from kinema.engine.runner import Runner

logger = logging.getLogger("kinema")


@LOOPS.register_module()
class EpochBasedTrainLoop:
    """Train for a number of epochs, validate in between, write a checkpoint after each epoch.

    Args:
        runner: the run.
        dataloader: batches, the same number each epoch.
        max_epochs: epochs to train.
        val_begin: first epoch (counted from 1) after which to validate.
        val_interval: validate every so many epochs; the last epoch always is.
        patience: stop when for so many validations neither the metric of the best checkpoint nor
            the loss has improved, both averaged as `default_hooks.checkpoint.smooth` says; None:
            train to the last epoch.

    Raises:
        ValueError: a number is below 1.
    """

    def __init__(
        self,
        runner: "Runner",
        dataloader: DataLoader,
        max_epochs: int,
        val_begin: int = 1,
        val_interval: int = 1,
        patience: int | None = None,
    ) -> None:
        if patience is not None and patience < 1:
            raise ValueError(f"patience must be a number of validations from 1, or None, got {patience!r}")
        if max_epochs < 1 or val_interval < 1:
            raise ValueError(f"max_epochs and val_interval must be at least 1, got {max_epochs=}, {val_interval=}")
        self.runner = runner
        self.dataloader = dataloader
        self.max_epochs = max_epochs
        self.val_begin = val_begin
        self.val_interval = val_interval
        self.patience = patience
        self.averages = Averages()
        self.epoch_averages = Averages()

    @property
    def max_iters(self) -> int:
        """Steps of the whole training."""
        return self.max_epochs * len(self.dataloader)

    def run(self) -> None:
        """Train from the runner's epoch to the last one."""
        runner = self.runner
        self.stopwatch = Stopwatch(self.max_iters, runner.iter)
        runner.call_hook("before_train")
        while not self.is_done:
            self.run_epoch()
            runner.epoch += 1  # before the validation: its hooks see the number of epochs done
            runner.end_epoch(self._validate() if self._validates_after(runner.epoch) else {})
        if self.is_flat:
            logger.info(
                "stopped after epoch %d of %d: on the validation clips neither the metric nor the loss has improved for"
                " %d validations; `--patience off` (train_cfg.patience=None) trains to the end",
                *(runner.epoch, self.max_epochs, self.patience),
            )
        runner.call_hook("after_train")

    @property
    def is_flat(self) -> bool:
        """Have the validations not improved for as long as `patience` allows?"""
        return self.patience is not None and self.runner.validations_without_gain() >= self.patience

    @property
    def is_done(self) -> bool:
        """Was the last epoch the last one, or is it of no use to train on?"""
        return self.runner.epoch >= self.max_epochs or self.is_flat

    def _validates_after(self, done: int) -> bool:
        if self.runner.val_loop is None:
            return False
        due = done >= self.val_begin and (done - self.val_begin) % self.val_interval == 0
        return due or done == self.max_epochs

    def _validate(self) -> dict[str, float]:
        try:
            return self.runner.validate()
        except KinemaError:
            self.runner.end_epoch({})  # what was trained is not lost with the validation
            raise

    def run_epoch(self) -> None:
        """One epoch of training."""
        runner = self.runner
        runner.model.train()
        if hasattr(self.dataloader, "set_epoch"):
            self.dataloader.set_epoch(runner.epoch)
        runner.call_hook("before_train_epoch")
        asked = time.perf_counter()
        for batch_idx, data_batch in enumerate(self.dataloader):
            waited = time.perf_counter() - asked
            self.run_iter(batch_idx, data_batch)
            took = time.perf_counter() - asked
            self.averages.add({"data_seconds": waited, "step_seconds": took})
            if self._logs_after(batch_idx):
                self._log(batch_idx)
            asked = time.perf_counter()
        runner.optim_wrapper.flush()
        runner.train_figures = self.epoch_averages.take()
        runner.call_hook("after_train_epoch")

    def run_iter(self, batch_idx: int, data_batch: Any) -> None:
        """One step: set the learning rate, forward, backward, update."""
        runner = self.runner
        runner.call_hook("before_train_iter", batch_idx=batch_idx, data_batch=data_batch)
        position = Position(runner.epoch, runner.iter, len(self.dataloader))
        runner.set_learning_rate(position, self.max_epochs)
        outputs = runner.parallel_model.train_step(data_batch, optim_wrapper=runner.optim_wrapper)
        self.averages.add(outputs)
        self.epoch_averages.add(outputs)
        runner.call_hook("after_train_iter", batch_idx=batch_idx, data_batch=data_batch, outputs=outputs)
        runner.iter += 1
        runner.interrupt.check()

    def _logs_after(self, batch_idx: int) -> bool:
        return (batch_idx + 1) % self.runner.log_interval == 0 or batch_idx + 1 == len(self.dataloader)

    def _log(self, batch_idx: int) -> None:
        runner = self.runner
        figures = without_repetition(self.averages.take())
        step_seconds, data_seconds = figures.pop("step_seconds"), figures.pop("data_seconds")
        figures["lr"] = runner.optim_wrapper.get_lr()["lr"][0]
        if not is_main_process():
            return
        runner.metrics_file.write(
            step=runner.iter, epoch=runner.epoch + 1, split="train", figures=figures, seconds=self.stopwatch.seconds
        )
        logger.info(
            "epoch %d/%d  batch %d/%d  %s  %.3f s a step (%.3f waiting for data)  %s left",
            *(runner.epoch + 1, self.max_epochs, batch_idx + 1, len(self.dataloader), format_figures(figures)),
            *(step_seconds, data_seconds, self.stopwatch.left(runner.iter)),
        )


class _EvaluationLoop:
    """Run the model over a loader and evaluate what it predicts.

    Samples that the loader leaves out because they are broken are in no number. The metrics then
    tell how many they are, as `broken_samples`, and `broken` which.
    """

    mode: str

    def __init__(self, runner: "Runner", dataloader: DataLoader, evaluator: Evaluator) -> None:
        self.runner = runner
        self.dataloader = dataloader
        self.evaluator = evaluator
        self.broken: list[BrokenSample] = []
        metainfo = getattr(dataloader.dataset, "metainfo", None)
        if metainfo is not None:
            self.evaluator.dataset_meta = metainfo

    def run(self) -> dict[str, Any]:
        """The metrics over the whole loader."""
        runner, mode = self.runner, self.mode
        runner.call_hook(f"before_{mode}")
        runner.call_hook(f"before_{mode}_epoch")
        model = runner.model
        model.eval()
        metrics, self.broken = evaluate_loader(
            model.val_step if mode == "val" else model.test_step,
            self.dataloader,
            self.evaluator,
            before_step=self._before_step,
            after_step=self._after_step,
            check_broken=self._check_broken,
        )
        if self.broken:
            metrics["broken_samples"] = len(self.broken)
        runner.call_hook(f"after_{mode}_epoch", metrics=metrics)
        runner.call_hook(f"after_{mode}")
        return metrics

    def _before_step(self, batch_idx: int, data_batch: Any) -> None:
        self.runner.call_hook(f"before_{self.mode}_iter", batch_idx=batch_idx, data_batch=data_batch)

    def _after_step(self, batch_idx: int, data_batch: Any, outputs: Any) -> None:
        self.runner.call_hook(f"after_{self.mode}_iter", batch_idx=batch_idx, data_batch=data_batch, outputs=outputs)
        self.runner.interrupt.check()

    def _check_broken(self, broken: Sequence[BrokenSample]) -> None:
        if not broken:
            return
        count, max_share = len(self.dataloader.dataset), self.dataloader.max_broken_share  # type: ignore[arg-type,attr-defined]
        report, first = f"{len(broken)} of {count} samples are broken", broken[0].error
        if len(broken) == count:
            raise VideoError(f"{self.mode}: all {count} samples are broken; the first: {first}")
        if len(broken) > num_allowed(count, max_share):
            limit = f"more than the share of {max_share:g} that {self.mode}_dataloader.max_broken_share allows"
            raise VideoError(f"{self.mode}: {report}, {limit}; the first: {first}")
        if is_main_process():
            logger.warning("%s: %s and not in the numbers; the first: %s", self.mode, report, first)


@LOOPS.register_module()
class ValLoop(_EvaluationLoop):
    """Validation during training: `model.val_step`, then the evaluator."""

    mode = "val"


@LOOPS.register_module()
class TestLoop(_EvaluationLoop):
    """Test of a trained model: `model.test_step`, then the evaluator."""

    mode = "test"
    __test__ = False  # no test class of pytest's
