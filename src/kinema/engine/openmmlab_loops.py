"""Training loops with OpenMMLab's names, for users who subclass them."""

import bisect
import inspect
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from torch.utils.data import DataLoader

from kinema.datasets.building import build_dataloader
from kinema.datasets.loader import ReproducibleLoader
from kinema.datasets.positions import iterate_from
from kinema.optim.accumulation import Window
from kinema.registry import LOOPS
from kinema.training.base_loop import BaseLoop
from kinema.training.loops import TrainLoop
from kinema.training.progress import Until
from kinema.training.run import Run
from kinema.training.step import TrainStep


class _NamedLoop(TrainLoop):
    """A `TrainLoop` whose `run`, `run_epoch` and `run_iter` users override as they do in OpenMMLab.

    `self._iter += 1` counts a batch that was trained, `self._epoch += 1` a pass. Then schedules,
    validation, checkpoints and logs work as in any other run, and a checkpoint is exact. A run that
    is resumed inside a pass gives `run_epoch` the batches that are left. A `run` that does not call
    ours validates itself, by `self.runner.val_loop.run()`.
    """

    dynamic_milestones: Sequence[int]
    dynamic_intervals: Sequence[int]

    def __init__(
        self,
        runner: Run,
        dataloader: Any,
        until: Until,
        val_begin: int = 1,
        val_interval: int = 1,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
    ) -> None:
        BaseLoop.__init__(self, runner, dataloader)
        self.val_begin, self.val_interval = val_begin, val_interval
        pairs = [(0, val_interval), *(dynamic_intervals or ())]
        self.dynamic_milestones, self.dynamic_intervals = map(list, zip(*pairs, strict=True))
        super().__init__(self.dataloader, _no_step, runner.progress, until, self._emit)
        self._border: Any = None  # the place that was emitted last
        self._first = 0
        if type(self).run is not TrainLoop.run:
            vars(self)["run"] = self._around_run(self.run)
        if type(self).run_epoch is not TrainLoop.run_epoch:
            vars(self)["run_epoch"] = self._around(self.run_epoch)
        if runner.train_step is not None:
            self.attach(runner.train_step)

    def attach(self, step: TrainStep) -> None:
        """Take the training step of the run, which may be there later than the loop."""
        self.step, self.accumulate = step, step.accumulate
        shared = (TrainLoop.run_iter, IterBasedTrainLoop.run_iter)
        if step.strategy.name in ("ddp", "fsdp2") and type(self).run_iter not in shared:
            # What a user's `run_iter` calls must exchange gradients.
            self.runner.network.train_step = step.strategy.train_step

    def _emit(self, point: str, **arguments: Any) -> None:
        if point == "at_border":
            if self._border == self.progress.mark():
                return
            self._border = self.progress.mark()
        if len(self.dynamic_intervals) > 1 and point in ("before_train_epoch", "before_train_iter"):
            self._decide_current_val_interval()
        self.runner.call_hook(point, **arguments)
        if point == "before_train_epoch":
            self.runner.network.train()  # as in OpenMMLab: what a hook set to evaluate trains all the same

    def _decide_current_val_interval(self) -> None:
        done = self.progress.iteration if self.until.epochs is None else self.progress.epoch
        self.val_interval = self.dynamic_intervals[bisect.bisect(self.dynamic_milestones, done + 1) - 1]

    def _around_run(self, own: Callable[[], Any]) -> Callable[[], Any]:
        """A user's `run`, with a border behind it."""

        def run() -> Any:
            self._begin()
            self.validates_itself = True
            result = own()
            self._emit("at_border")
            self.is_running = False
            return result

        return run

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
        if "_window" not in vars(self):  # a `run` of the user's own calls `run_iter`
            return self._told(Window.of(self.progress.iteration, self.accumulate))
        window: Window = vars(self)["_window"]
        return window

    @_window.setter
    def _window(self, window: Window) -> None:
        vars(self)["_window"] = self._told(window)

    def _told(self, window: Window) -> Window:
        """The window, known also to a `train_step` that the user's own code calls."""
        step = self.runner.train_step
        if step is not None:
            step.optim_wrapper.window = window
        return window

    @cached_property
    def dataloader_iterator(self) -> Iterator[Any]:
        """The batches of pass after pass, without an end."""
        return self._endless()

    def _endless(self) -> Iterator[Any]:
        epoch = self.progress.epoch
        while True:
            yield from iterate_from(self.dataloader, epoch, 0)
            epoch += 1

    # ---- the counters, as users' loops move them

    @property
    def _iter(self) -> int:
        return self.progress.iteration

    @_iter.setter
    def _iter(self, value: int) -> None:
        if not self.is_running:  # nothing was trained
            self.progress.iteration = value
            return
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
        if not self.is_running:
            self.progress.epoch = value
            return
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
        """Passes of the training; as in OpenMMLab's loops 1 where it is not counted in them."""
        return self.until.epochs or 1

    @property
    def max_iters(self) -> int:
        """Batches of the training; 0 where they are not known."""
        return self.until.iterations_left(type(self.progress)(), self.batches_per_epoch, self.accumulate) or 0

    def _end_at(self, unit: str, value: int) -> None:
        if getattr(self.until, unit) is not None:
            self.until = Until(**{unit: value})

    _max_epochs = property(lambda self: self.max_epochs, lambda self, value: self._end_at("epochs", value))
    _max_iters = property(lambda self: self.max_iters, lambda self, value: self._end_at("iterations", value))


def _no_step(batch: Any, window: Window) -> dict[str, Any]:
    """Stands for the step of a loop until a training is prepared."""
    raise AssertionError("the runner attaches a training step before the loop runs")


@LOOPS.register_module()
class EpochBasedTrainLoop(_NamedLoop):
    """A `TrainLoop` for a number of epochs, with OpenMMLab's arguments.

    Args:
        runner: the run.
        dataloader: batches, or the config of what gives them.
        max_epochs: epochs to train.
        val_begin, val_interval, dynamic_intervals, patience: for the hooks of the run, which the
            runner builds from the same config.
    """

    def __init__(
        self,
        runner: Run,
        dataloader: Any,
        max_epochs: int,
        val_begin: int = 1,
        val_interval: int = 1,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
        patience: int | None = None,
    ) -> None:
        super().__init__(runner, dataloader, Until(epochs=max_epochs), val_begin, val_interval, dynamic_intervals)

    @property
    def _ends_inside_pass(self) -> bool:
        return self.stops_at_border or self.until.reached(self.progress)


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

    `run_iter` may also take the batch alone. Hooks get the number of a batch in the whole training.
    """

    def __init__(
        self,
        runner: Run,
        dataloader: Any,
        max_iters: int,
        val_begin: int = 1,
        val_interval: int = 1000,
        dynamic_intervals: Sequence[tuple[int, int]] | None = None,
        patience: int | None = None,
    ) -> None:
        super().__init__(runner, dataloader, Until(iterations=max_iters), val_begin, val_interval, dynamic_intervals)
        own: Any = self.run_iter
        if type(self).run_iter is not IterBasedTrainLoop.run_iter and len(inspect.signature(own).parameters) == 1:
            vars(self)["run_iter"] = lambda batch_idx, data_batch: own(data_batch)

    def run_iter(self, *arguments: Any) -> None:
        """Train on a batch, the last argument."""
        super().run_iter(self.progress.iteration, arguments[-1])
