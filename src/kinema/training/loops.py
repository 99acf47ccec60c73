"""The loops: they call the model and emit the points of a run. Policy is in the hooks."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from torch.utils.data import DataLoader

from kinema.datasets.broken import BrokenSample, num_allowed
from kinema.datasets.loader import ReproducibleLoader
from kinema.datasets.positions import iterate_from
from kinema.distributed import get_world_size, is_main_process
from kinema.errors import ConfigError, VideoError
from kinema.evaluation import Evaluator, evaluate_loader
from kinema.optim.accumulation import Window
from kinema.randomness import capture_state, restore_state
from kinema.registry import LOOPS
from kinema.training.base_loop import BaseLoop
from kinema.training.progress import Progress, Until
from kinema.training.run import Run

logger = logging.getLogger("kinema")

Step = Callable[[Any, Window], Mapping[str, Any]]


class TrainLoop(BaseLoop):
    """Train batch by batch, pass after pass, from where `progress` stands.

    It emits `before_train`, `before_train_epoch`, `before_train_iter`, `after_train_iter`,
    `after_train_epoch`, `after_train`, and `at_border`: the counters are up to date and no gradients
    wait for others, so that everything can be saved. Borders are behind every update but the last
    of a pass, and behind every pass.

    Args:
        loader: batches.
        step: trains on one, such as a `TrainStep`.
        progress: the counters, which this loop alone moves.
        until: how far.
        emit: called with the name of a point and its arguments.
        accumulate: batches that make an update.

    Attributes:
        stop_training: end at the next border; of an `EpochBasedTrainLoop`, behind this pass.
        stops_at_border: end at the next border.
        validates_itself: `run` is the user's own, and does what `ValidationHook` does otherwise.
    """

    validates_itself = False

    def __init__(
        self,
        loader: DataLoader,
        step: Step,
        progress: Progress,
        until: Until,
        emit: Callable[..., None] = lambda point, **arguments: None,
        accumulate: int = 1,
    ) -> None:
        self.dataloader, self.step, self.progress, self.until, self.emit = loader, step, progress, until, emit
        self.accumulate = accumulate
        self.stops_at_border = False
        self._order: Mapping[str, Any] = {}
        self._count: float | None = None  # of batches of a pass

    def run(self) -> None:
        """Train to the end."""
        self._begin()
        self.validates_itself = False
        self.emit("before_train")
        self.emit("at_border")  # where a resumed run was saved, something may still be due
        while not self.is_done:
            self.run_epoch()
        self.is_running = False
        self.emit("after_train")

    def _begin(self) -> None:
        self.is_running, self._clock = True, time.perf_counter() - self.progress.seconds

    def run_epoch(self) -> None:
        """Train to the end of this pass, or of the training."""
        progress, first = self.progress, self.progress.batch
        self.emit("before_train_epoch")
        position, self._count = self._position(), None  # a hook may have changed the loader
        last = first + self._batches_left(*position)
        self._check(last)
        for batch in self._batches(*position):
            end = min(last, progress.batch + (self.until.iterations or math.inf) - progress.iteration)
            self._window = Window.of(progress.batch - first, self.accumulate, end - first)
            self.run_iter(progress.batch, batch)
            del batch  # its memory is for the next
            if self._window.is_last and progress.batch < last:
                self.emit("at_border")
                if self._ends_inside_pass:
                    break
        else:
            last = progress.batch
        self.emit("after_train_epoch")
        if progress.batch == last:
            progress.finish_epoch()
            self.emit("at_border")

    def run_iter(self, batch_idx: int, data_batch: Any) -> None:
        """Train on one batch."""
        self.emit("before_train_iter", batch_idx=batch_idx, data_batch=data_batch)
        outputs = self.step(data_batch, self._window)
        self.emit("after_train_iter", batch_idx=batch_idx, data_batch=data_batch, outputs=outputs)
        self.progress.count(self._num_samples(), updated=self._window.is_last)
        self.progress.seconds = time.perf_counter() - self._clock

    @property
    def is_done(self) -> bool:
        """Is the training at its end, or asked to stop?"""
        return self.stop_training or self.until.reached(self.progress)

    @property
    def _ends_inside_pass(self) -> bool:
        """Does the training end at this border, inside a pass?"""
        return self.is_done

    @property
    def batches_per_epoch(self) -> int | None:
        """Batches of a whole pass; None where it has no end, or an unknown one."""
        if self._count is None:
            self._count = self._batches_left()
        return None if math.isinf(self._count) else int(self._count)

    @property
    def epoch_length(self) -> int | None:
        """Batches that settings in epochs mean: those of a pass, and of one without end what its loader's length says.

        None where it has none.
        """
        with suppress(TypeError):
            return self.batches_per_epoch or len(self.dataloader)
        return None

    def _check(self, last: float) -> None:
        """Refuse a pass of no batches, one without end that is to end, and windows whose end nobody knows."""
        if last == 0:
            raise ConfigError("the training loader gives no batches: it has fewer samples than a batch, or none")
        is_endless = getattr(self.dataloader, "is_endless", False)
        if is_endless and self.until.epochs is not None:
            raise ConfigError(
                f"max_epochs={self.until.epochs} never comes: a pass of the training loader's sampler has no end;"
                " give max_iters or max_steps, or another sampler, such as DefaultSampler"
            )
        if math.isinf(last) and self.accumulate > 1 and not is_endless:
            raise ConfigError(
                f"accumulative_counts={self.accumulate} needs a training loader of known length: give its dataset a"
                " __len__"
            )

    def _position(self) -> tuple[int, int | None]:
        """Where in the pass to start: the batch, and the samples that are done where batches had another size."""
        progress, usual = self.progress, (self.dataloader.batch_size or 0) * get_world_size()
        moved = progress.batch > 0 and progress.epoch_samples != progress.batch * usual
        return progress.batch, progress.epoch_samples if moved and usual else None

    def _batches(self, batch: int, epoch_samples: int | None) -> Iterator[Any]:
        """The batches of the pass from a position on.

        The order of a loader that is not Kinema's may depend on the generators at the beginning of
        the pass: they are kept for a resumed run.
        """
        if hasattr(self.dataloader, "from_position"):
            return iterate_from(self.dataloader, self.progress.epoch, batch, epoch_samples=epoch_samples)
        now = capture_state()
        if batch == 0 or not self._order:
            self._order = now
        restore_state(self._order)
        batches = iterate_from(self.dataloader, self.progress.epoch, batch)
        if batch:
            restore_state(now)
        return batches

    def state_dict(self) -> dict[str, Any]:
        """The generators that the order of the pass depends on."""
        return dict(self._order)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict()` back.

        Raises:
            ValueError: it is none.
        """
        if state:  # each kind of fault has its own error, now rather than when the pass begins
            now = capture_state()
            restore_state(state)
            restore_state(now)
        self._order = dict(state)

    def _batches_left(self, batch: int = 0, epoch_samples: int | None = None) -> float:
        """Batches of the pass from a position on; infinite where nobody knows."""
        if isinstance(self.dataloader, ReproducibleLoader):
            return self.dataloader.num_batches(batch, epoch_samples=epoch_samples)
        with suppress(TypeError):  # an IterableDataset without a length
            return max(len(self.dataloader) - batch, 0)
        return math.inf

    def _num_samples(self) -> int:
        """Samples of the batch that was given last, of all processes."""
        if isinstance(self.dataloader, ReproducibleLoader):
            return self.dataloader.epoch_samples - self.progress.epoch_samples
        return (self.dataloader.batch_size or 0) * get_world_size()


class _EvaluationLoop(BaseLoop):
    """Run the model over a loader and evaluate what it predicts.

    Samples that the loader leaves out because they are broken are in no number. The metrics then
    hold how many they are, as `broken_samples`, and `broken` which. A subclass may override
    `run_iter`, which predicts and evaluates a batch.

    Args:
        runner: the run.
        dataloader: batches, or the config of what gives them.
        evaluator: the metrics, or their configs.
        fp16: predict in half precision, on a CPU in bfloat16.
    """

    mode: str

    def __init__(self, runner: Run, dataloader: Any, evaluator: Any, fp16: bool = False) -> None:
        super().__init__(runner, dataloader)
        self.evaluator: Evaluator = evaluator if isinstance(evaluator, Evaluator) else Evaluator(evaluator)
        self.fp16 = fp16
        self.broken: list[BrokenSample] = []
        metainfo = getattr(self.dataloader.dataset, "metainfo", None)
        if metainfo is not None:
            self.evaluator.dataset_meta = metainfo

    def run(self) -> dict[str, Any]:
        """The metrics over the whole loader, of the averaged weights where the run has some."""
        runner, mode = self.runner, self.mode
        runner.call_hook(f"before_{mode}")
        with runner.evaluating:
            runner.call_hook(f"before_{mode}_epoch")
            runner.network.eval()
            with runner.evaluated_weights():
                metrics, self.broken = evaluate_loader(
                    self._predict,
                    self.dataloader,
                    self.evaluator,
                    run_iter=self._run_iter,
                    check_broken=self._check_broken,
                )
            if self.broken:
                metrics["broken_samples"] = len(self.broken)
            runner.call_hook(f"after_{mode}_epoch", metrics=metrics)
        runner.call_hook(f"after_{mode}")
        return metrics

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Predict and evaluate batch number `idx`."""
        runner, mode = self.runner, self.mode
        runner.call_hook(f"before_{mode}_iter", batch_idx=idx, data_batch=data_batch)
        outputs = self._predict(data_batch)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        runner.call_hook(f"after_{mode}_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)

    def _run_iter(self, idx: int, data_batch: Any) -> None:
        self.run_iter(idx, data_batch)
        if get_world_size() == 1:  # several would each stop at another batch
            self.runner.interrupt.check()

    def _predict(self, data_batch: Any) -> Any:
        model = self.runner.network
        step = model.val_step if self.mode == "val" else model.test_step
        if not self.fp16:
            return step(data_batch)
        kind = self.runner.device.type
        with torch.autocast(kind, dtype=torch.bfloat16 if kind == "cpu" else torch.float16):
            return step(data_batch)

    def _check_broken(self, broken: Sequence[BrokenSample]) -> None:
        if not broken:
            return
        count, max_share = len(self.dataloader.dataset), self.dataloader.max_broken_share
        report, first = f"{len(broken)} of {count} samples are broken", broken[0].error
        if len(broken) == count:
            raise VideoError(f"{self.mode}: all {count} samples are broken; the first: {first}")
        if len(broken) > num_allowed(count, max_share):
            limit = f"more than the share of {max_share:g} that {self.mode}_dataloader.max_broken_share allows"
            raise VideoError(
                f"{self.mode}: {report}, {limit}: take them out, or measure without them by"
                f" --set {self.mode}_dataloader.max_broken_share=1; the first: {first}"
            )
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
