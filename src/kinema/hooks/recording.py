"""What a training reports: averaged figures, on the console and in `metrics.jsonl`."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kinema.distributed import is_main_process
from kinema.files import write_text
from kinema.hooks.hook import Hook
from kinema.openmmlab import run_files
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import HOOKS
from kinema.runs.console import PassBar, format_pace, pace_of, peak_memory
from kinema.runs.records import Averages, format_figures, without_repetition
from kinema.training.progress import Mark, Progress
from kinema.training.run import Run

logger = logging.getLogger("kinema")

_TIMES = frozenset(("time", "data_time"))  # of `IterTimerHook`


@HOOKS.register_module()
@accepts_openmmlab_keywords
class LoggerHook(Hook):
    """Average what the training steps return, log it at an interval and at the end of each epoch.

    Args:
        interval: batches between two lines.

    Raises:
        ValueError: `interval` below 1.
    """

    priority = "BELOW_NORMAL"

    def __init__(self, interval: int = 20) -> None:
        if interval < 1:
            raise ValueError(f"LoggerHook: interval must be at least 1, got {interval}")
        self.interval = interval
        self.averages, self.epoch_averages = Averages(), Averages()
        self._mark: Mark = Progress().mark()
        self._batch = 0  # of this pass, at the border before
        self._waited = self._took = self._asked = self._got = 0.0  # seconds: for data, altogether; moments
        self._samples = 0  # of the last line
        self._started, self._iterations = 0.0, 0  # seconds and batches at the beginning of this pass
        self._bar = PassBar()

    def before_train_epoch(self, runner: Run) -> None:
        self._started, self._iterations = runner.progress.seconds, runner.progress.iteration
        self._samples = runner.progress.samples
        self._asked = time.perf_counter()

    def before_train_iter(self, runner: Run, batch_idx: int, data_batch: Any = None) -> None:
        self._got = time.perf_counter()

    def after_train_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        now = time.perf_counter()
        for figures in (outputs or {}, *runner.message_hub.take_fresh()):
            if _TIMES.intersection(figures):  # not the same in each run
                continue
            self.averages.add(figures)
        self._waited += self._got - self._asked
        self._took += now - self._asked
        if runner.line_processor is not None and self._ends_line(runner, batch_idx):
            _say(runner.line_processor.get_log_after_iter(runner, batch_idx, "train")[1])
        if is_main_process() and self._bar.is_due:
            done, total = runner.progress.batch + 1, runner.train_loop.batches_per_epoch
            self._bar.show(done, total, runner.progress.epoch + 1)
        self._asked = now

    def _ends_line(self, runner: Run, batch_idx: int) -> bool:
        """Does a line of a log processor stand behind this batch?"""
        total = runner.train_loop.batches_per_epoch
        return self.every_n_inner_iters(batch_idx, self.interval) or runner.progress.batch + 1 == total

    def after_val_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        self._say_batch(runner, batch_idx, "val")

    def after_test_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        self._say_batch(runner, batch_idx, "test")

    def _say_batch(self, runner: Run, batch_idx: int, mode: str) -> None:
        """How far an evaluation is, for logs of jobs without a terminal."""
        if runner.line_processor is not None and self.every_n_inner_iters(batch_idx, self.interval):
            _say(runner.line_processor.get_log_after_iter(runner, batch_idx, mode)[1])

    def after_val_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        if runner.line_processor is not None:
            _say(runner.line_processor.get_log_after_epoch(runner, len(runner.val_loop.dataloader), "val")[1])

    def after_test_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        if runner.line_processor is None and not run_files.also_pth:
            return
        processor = runner.log_processor  # type: ignore[attr-defined]
        length = len(runner.test_loop.dataloader)
        figures, line = processor.get_log_after_epoch(runner, length, "test", with_non_scalar=True)
        if runner.line_processor is not None:
            _say(line)
        if run_files.also_pth and is_main_process():
            timestamp = runner.timestamp  # type: ignore[attr-defined]
            write_figures(runner.work_dir / timestamp / f"{timestamp}.json", figures)

    def after_train_epoch(self, runner: Run) -> None:
        self.epoch_averages.include(self.averages)
        runner.train_figures = self.epoch_averages.take()
        self._bar.close()

    def after_summary(self, runner: Run, summary: Mapping[str, Any]) -> None:
        self._bar.close()

    def at_border(self, runner: Run) -> None:
        progress = runner.progress
        mark = progress.mark()
        if mark == self._mark:
            return
        is_due = progress.batch // self.interval > self._batch // self.interval
        if progress.batch == 0 or is_due or runner.train_loop.is_done:
            self._log(runner)
        self._mark, self._batch = mark, progress.batch
        self._asked = time.perf_counter()

    def _log(self, runner: Run) -> None:
        progress = runner.progress
        if progress.batch:  # at the end of a pass its figures are taken already
            self.epoch_averages.include(self.averages)
        figures = without_repetition(self.averages.take())
        pace = pace_of(progress.samples - self._samples, self._waited, self._took, peak_memory(runner.device))
        self._samples, self._waited, self._took = progress.samples, 0.0, 0.0
        if not figures:
            return
        for name, rates in runner.optim_wrapper.get_lr().items():
            if not name.endswith("base_lr"):
                figures[name] = rates[0]
        runner.record("train", figures, pace)
        total = runner.train_loop.batches_per_epoch
        if is_main_process() and runner.line_processor is None:
            logger.info(
                "epoch %d%s  batch %s%s  %s  %s",
                *(progress.present_epoch, f"/{runner.num_epochs}" if runner.num_epochs else ""),
                *(progress.batch or total or "last", "" if total is None else f"/{total}"),
                *(format_figures(_of_console(figures)), format_pace(pace, self._seconds_left(runner))),
            )

    def _seconds_left(self, runner: Run) -> float | None:
        """Time left, by the pace of this pass."""
        progress = runner.progress
        done, seconds = progress.iteration - self._iterations, progress.seconds - self._started
        left = runner.train_loop.until.iterations_left(
            progress, runner.train_loop.batches_per_epoch, runner.train_loop.accumulate
        )
        return None if left is None or done < 1 else seconds / done * left

    def state_dict(self) -> dict[str, Any]:
        return {
            "averages": self.averages.state_dict(),
            "epoch_averages": self.epoch_averages.state_dict(),
            "mark": dict(self._mark),
            "batch": self._batch,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.averages.load_state_dict(state["averages"])
        self.epoch_averages.load_state_dict(state["epoch_averages"])
        self._mark, self._batch = state["mark"], state["batch"]


def write_figures(file: Path, figures: Mapping[str, Any]) -> None:
    """Write the figures of a test as a JSON object, which code for OpenMMLab reads."""
    plain = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in figures.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(plain, default=str))


def _of_console(figures: Mapping[str, float]) -> dict[str, float]:
    """Without the norm of gradients, which is for plots."""
    return {name: value for name, value in figures.items() if name != "grad_norm"}


def _say(line: str) -> None:
    if is_main_process():
        for part in filter(str.strip, line.split("\n")):  # a matrix among the figures has several
            logger.info("%s", part)
