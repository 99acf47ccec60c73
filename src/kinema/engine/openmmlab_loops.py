"""Training loops with OpenMMLab's names, for users who subclass them."""

import inspect
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch.utils.data import DataLoader

from kinema.datasets.loader import ReproducibleLoader, build_dataloader
from kinema.datasets.positions import iterate_from
from kinema.optim.accumulation import Window
from kinema.registry import LOOPS
from kinema.training.loops import TrainLoop
from kinema.training.progress import Until
from kinema.training.run import Run


class _NamedLoop(TrainLoop):
    """A `TrainLoop` whose `run_epoch` and `run_iter` users override as they do in OpenMMLab.

    `self._iter += 1` counts a batch that was trained, `self._epoch += 1` a pass. Then schedules,
    validation, checkpoints and logs work as in any other run, and a checkpoint is exact. A run that
    is resumed inside a pass gives `run_epoch` the batches that are left.
    """

    def __init__(self, runner: Run, dataloader: DataLoader, until: Until) -> None:
        assert runner.train_step is not None  # the runner builds it first
        self.runner = runner
        step = runner.train_step
        super().__init__(dataloader, step, runner.progress, until, self._emit, step.accumulate)
        self._border: Any = None  # the place that was emitted last
        self._first = 0
        if type(self).run_epoch is not TrainLoop.run_epoch:
            vars(self)["run_epoch"] = self._around(self.run_epoch)
        if step.strategy.name != "single" and type(self).run_iter not in (
            _NamedLoop.run_iter,
            IterBasedTrainLoop.run_iter,
        ):
            # What a user's `run_iter` calls must exchange gradients.
            runner.model.train_step = step.train_step

    def _emit(self, point: str, **arguments: Any) -> None:
        if point == "at_border":
            if self._border == self.progress.mark():
                return
            self._border = self.progress.mark()
        self.runner.call_hook(point, **arguments)

    def _around(self, run_epoch: Callable[[], None]) -> Callable[[], None]:
        """A user's `run_epoch`, from where the run stands, with a border behind it."""

        def run() -> None:
            batch, epoch_samples = self._position()
            if isinstance(self.dataloader, ReproducibleLoader):
                self.dataloader.set_epoch(self.progress.epoch, batch, epoch_samples=epoch_samples)
            left = (self.until.iterations or math.inf) - self.progress.iteration
            self._first, self._end = batch, batch + min(self._batches_left(batch, epoch_samples), left)
            self._open_window()
            run_epoch()
            self._emit("at_border")

        return run

    def _open_window(self) -> None:
        batch = self.progress.batch - self._first
        self._window = Window.of(batch, self.accumulate, self._end - self._first)

    @property
    def _window(self) -> Window:
        window: Window = self.__dict__["_window"]
        return window

    @_window.setter
    def _window(self, window: Window) -> None:
        self.__dict__["_window"] = window
        step = self.runner.train_step
        assert step is not None
        step.optim_wrapper.window = window  # for a `train_step` that the user's own code calls

    # ---- the counters, as users' loops move them

    @property
    def _iter(self) -> int:
        return self.progress.iteration

    @_iter.setter
    def _iter(self, value: int) -> None:
        for _ in range(value - self.progress.iteration):
            window, step = self._window, self.runner.train_step
            if window.is_last and step is not None and step.ema is not None:
                step.ema.update()
            self.progress.count(self._num_samples(), updated=window.is_last)
            self.progress.seconds = time.perf_counter() - self._clock
            if "run_epoch" in vars(self):
                self._open_window()
            if window.is_last and self._batches_left(*self._position()):
                self._emit("at_border")

    @property
    def _epoch(self) -> int:
        return self.progress.epoch

    @_epoch.setter
    def _epoch(self, value: int) -> None:
        for _ in range(value - self.progress.epoch):
            self.progress.finish_epoch()

    @property
    def epoch(self) -> int:
        """Finished passes."""
        return self.progress.epoch

    @property
    def iter(self) -> int:
        """Batches that are done."""
        return self.progress.iteration

    @property
    def max_epochs(self) -> int:
        """Passes of the training; 0 where it is not counted in them."""
        return self.until.epochs or 0

    @property
    def max_iters(self) -> int:
        """Batches of the training; 0 where they are not known."""
        return self.runner.max_iters

    _max_epochs, _max_iters = max_epochs, max_iters


@LOOPS.register_module()
class EpochBasedTrainLoop(_NamedLoop):
    """A `TrainLoop` for a number of epochs, with OpenMMLab's arguments.

    Args:
        runner: the run.
        dataloader: batches.
        max_epochs: epochs to train.
        val_begin, val_interval, dynamic_intervals, patience: for the hooks of the run, which the
            runner builds from the same config.
    """

    def __init__(
        self,
        runner: Run,
        dataloader: DataLoader,
        max_epochs: int,
        val_begin: int = 1,
        val_interval: int = 1,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
        patience: int | None = None,
    ) -> None:
        super().__init__(runner, dataloader, Until(epochs=max_epochs))
        self.val_begin, self.val_interval = val_begin, val_interval


@LOOPS.register_module()
class MultiLoaderEpochBasedTrainLoop(EpochBasedTrainLoop):
    """An `EpochBasedTrainLoop` over several loaders at once: a batch is a tuple of theirs.

    A pass ends with that of the loader that has fewest batches. Samples are counted by the first.

    Args:
        runner, dataloader: see `EpochBasedTrainLoop`.
        other_loaders: further loaders, or their configs.
        max_epochs, val_begin, val_interval: see `EpochBasedTrainLoop`.
    """

    def __init__(
        self,
        runner: Run,
        dataloader: DataLoader,
        other_loaders: Sequence[DataLoader | Mapping[str, Any]],
        max_epochs: int,
        val_begin: int = 1,
        val_interval: int = 1,
    ) -> None:
        super().__init__(runner, dataloader, max_epochs, val_begin, val_interval)
        self.multi_loaders = [dataloader, *(build_dataloader(loader, seed=runner.seed) for loader in other_loaders)]

    def _batches(self, batch: int, epoch_samples: int | None) -> Iterator[Any]:
        others = [iterate_from(loader, self.progress.epoch, batch) for loader in self.multi_loaders[1:]]
        together = zip(super()._batches(batch, epoch_samples), *others, strict=False)
        left = self._batches_left(batch, epoch_samples)
        return itertools.islice(together, None if math.isinf(left) else int(left))

    def _batches_left(self, batch: int = 0, epoch_samples: int | None = None) -> float:
        others = (max(len(loader) - batch, 0) for loader in self.multi_loaders[1:])
        return min(super()._batches_left(batch, epoch_samples), *others)


@LOOPS.register_module()
class IterBasedTrainLoop(_NamedLoop):
    """A `TrainLoop` for a number of batches, with OpenMMLab's arguments; see `EpochBasedTrainLoop`.

    `run_iter` may also take the batch alone.
    """

    def __init__(
        self,
        runner: Run,
        dataloader: DataLoader,
        max_iters: int,
        val_begin: int = 1,
        val_interval: int = 1000,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
        patience: int | None = None,
    ) -> None:
        super().__init__(runner, dataloader, Until(iterations=max_iters))
        self.val_begin, self.val_interval = val_begin, val_interval
        own: Any = self.run_iter
        if type(self).run_iter is not IterBasedTrainLoop.run_iter and len(inspect.signature(own).parameters) == 1:
            vars(self)["run_iter"] = lambda batch_idx, data_batch: own(data_batch)

    def run_iter(self, *arguments: Any) -> None:
        """Train on a batch, the last argument."""
        super().run_iter(self.progress.batch, arguments[-1])
