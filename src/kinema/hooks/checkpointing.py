"""When a run writes a checkpoint, and which is its best."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

from torch import Tensor

from kinema.diagnosis.beforehand import check_figure, check_room
from kinema.distributed import is_main_process
from kinema.errors import ConfigError
from kinema.hooks.hook import Hook
from kinema.hooks.pth_files import PthFiles
from kinema.openmmlab import run_files
from kinema.openmmlab.keywords import accepts_openmmlab_keywords
from kinema.registry import HOOKS
from kinema.runs.history import Monitor, trailing_mean
from kinema.training.checkpoints import snapshot
from kinema.training.progress import Every, Mark, Progress
from kinema.training.run import Run

logger = logging.getLogger("kinema")


@HOOKS.register_module()
@accepts_openmmlab_keywords
class CheckpointHook(Hook):
    """Write checkpoints at an interval, at the best validation, at the end, and when the run is asked to stop.

    What is due when a validation is, is written before it, and again with its figures. What a signal
    asked for between two intervals is there until the next: a run that was stopped and resumed keeps
    the same checkpoints as one that was not. A subclass
    may call `save_checkpoint(runner)` at any point: what cannot be saved exactly there, inside a
    step, is saved at the next border.

    Args:
        interval: epochs, or iterations with `by_epoch=False`, between two checkpoints; or a text
            such as "500steps" or "2epochs"; below 1: none but the best and the last.
        by_epoch: what a number counts; default: epochs.
        save_optimizer, save_param_scheduler: what `.pth` files hold beside the weights.
        out_dir: where `.pth` files are; default: the work folder.
        max_keep_ckpts: how many of the newest to keep, the best beside them; -1: all. Default: 3,
            and all `.pth` files.
        save_last: write one at the end of the training.
        save_best: the figure of the validations that decides which is best: its name, "auto" for the
            first, None for none. Of several names the first decides Kinema's best.
        rule: "greater" or "less" is better; default: less for losses and errors.
        filename_tmpl: name of `.pth` files, with `{}` for epoch or iteration.
        published_keys: entries of the copies of `.pth` files that the end of the training writes.
        save_begin: the epoch, or iteration, from which on the interval counts.
        smooth: validations over which that figure is averaged.
        asynchronous: copy the state, and write the copy while training continues.
        also_pth: write `.pth` files beside the checkpoints, see `kinema.hooks.pth_files`; default:
            where one of `by_epoch`, `save_optimizer`, `save_param_scheduler`, `out_dir`,
            `filename_tmpl`, `published_keys` and `save_begin` is given, or OpenMMLab's names are
            served by `kinema.compat`.

    Raises:
        ConfigError: a value is none of these, or the metrics give no such figure.
        StorageError: there is no room for a checkpoint.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        interval: int | str = 1,
        by_epoch: bool | None = None,
        save_optimizer: bool | None = None,
        save_param_scheduler: bool | None = None,
        out_dir: str | PathLike[str] | None = None,
        max_keep_ckpts: int | None = None,
        save_last: bool = True,
        save_best: str | Sequence[str] | None = "auto",
        rule: str | Sequence[str] | None = None,
        *,
        filename_tmpl: str | None = None,
        published_keys: str | Sequence[str] | None = None,
        save_begin: int | None = None,
        smooth: int = 1,
        asynchronous: bool = False,
        also_pth: bool | None = None,
    ) -> None:
        for name, names in (("rule", rule), ("published_keys", published_keys)):
            if not isinstance(names, Sequence | None):
                raise ConfigError(f"default_hooks.checkpoint: {name} must be a text or a list of texts, got {names!r}")
        if (save_begin or 0) < 0:
            raise ConfigError(f"default_hooks.checkpoint: save_begin must be at least 0, got {save_begin}")
        of_openmmlab = (by_epoch, save_optimizer, save_param_scheduler, out_dir, filename_tmpl)
        of_openmmlab += (published_keys, save_begin)  # type: ignore[assignment]
        by_epoch, self.save_begin = by_epoch is not False, save_begin or 0
        if isinstance(interval, str):
            self.every = Every.parse(interval, "default_hooks.checkpoint.interval")
        elif interval > 0:
            self.every = Every(**{"epochs" if by_epoch else "iterations": interval, "start": self.save_begin})
        else:
            self.every = Every()
        self.interval, self.by_epoch = interval, by_epoch
        self.keep = 3 if max_keep_ckpts is None else int(max_keep_ckpts)
        self.save_last, self.asynchronous = save_last, asynchronous
        several = isinstance(save_best, list | tuple) and bool(save_best)
        rules = [rule] if rule is None or isinstance(rule, str) else list(rule)
        self.monitor = Monitor(save_best[0] if several else save_best, rules[0] if rules else None, smooth)  # type: ignore
        self.pth: PthFiles | None = None
        if also_pth or (also_pth is None and (run_files.also_pth or any(v is not None for v in of_openmmlab))):
            self.pth = PthFiles(
                by_epoch=by_epoch and (isinstance(interval, int) or self.every.epochs is not None),
                out_dir=out_dir,
                keep=-1 if max_keep_ckpts is None else int(max_keep_ckpts),
                filename_tmpl=filename_tmpl,
                save_optimizer=save_optimizer is not False,
                save_param_scheduler=save_param_scheduler is not False,
                published_keys=published_keys,
                save_best=save_best,
                rules=rule,
            )
        self.max_keep_ckpts, self.save_best, self.rule = max_keep_ckpts, save_best, rule
        self.published_keys = published_keys
        self._mark: Mark = Progress().mark()
        self._saved: int | None = None  # the step of the last checkpoint
        self._is_asked = False  # for one, where none could be written
        self._extra: str | None = None  # the last checkpoint, where only a signal asked for it
        self._is_extra = False  # the next one is such
        self._writer = Writer()

    def before_run(self, runner: Run) -> None:
        self.out_dir = str(runner.work_dir if self.pth is None else self.pth.folder(runner))
        runner.store.keep, runner.monitor = self.keep, self.monitor
        if "train" in runner.loops:
            check_room(runner.work_dir, runner.network)
            check_figure(self.monitor.metric, runner.known_figures, "save_best")

    def before_val(self, runner: Run) -> None:
        if runner.is_training and self.every.due(runner.progress, self._mark):
            self._mark = runner.progress.mark()
            self.save_checkpoint(runner)
            self._save_pth(runner)

    def _save_pth(self, runner: Run) -> None:
        if self.pth is not None:
            self.pth.save(runner)

    def at_border(self, runner: Run) -> None:
        progress = runner.progress
        is_best = bool(runner.metrics) and self.monitor.improves(runner.history, progress.best)
        if is_best:
            progress.best = self._describe(runner)
        is_due = self.every.due(progress, self._mark) or (self.save_last and runner.train_loop.is_done)
        again = self._extra == name_of(runner) and not is_due
        self._is_extra = not is_best and (again or self._only_signalled(runner))
        if is_due and runner.progress.iteration and not self._is_extra:
            self._save_pth(runner)
        if self.pth is not None and runner.metrics:
            self.pth.save_best(runner, runner.metrics)
        is_due, self._is_asked = is_due or self._is_asked, False
        is_new = self._saved != progress.step or bool(runner.metrics)
        self._mark = progress.mark()
        if is_new and (is_best or is_due or runner.stop_reason is not None or self._saved == progress.step):
            self.save_checkpoint(runner, is_best=is_best)
        self._is_extra = False

    def _only_signalled(self, runner: Run) -> bool:
        """Is a signal all that asks for a checkpoint here?"""
        progress, until = runner.progress, getattr(runner.train_loop, "until", None)
        is_end = until is not None and until.reached(progress)
        is_regular = is_end or self._is_asked or self.every.due(progress, self._mark)
        return runner.interrupt.is_asked and not is_regular

    def _describe(self, runner: Run) -> dict[str, Any]:
        name = self.monitor.name(runner.metrics)
        entry = runner.history[-1]
        best = {"metric": name, "value": float(runner.metrics[name]), "epoch": entry["epoch"], "step": entry["step"]}
        best["checkpoint"] = name_of(runner)
        if self.monitor.smooth > 1:
            best["smoothed"] = trailing_mean(runner.history, name, self.monitor.smooth)
        return best

    def after_train(self, runner: Run) -> None:
        self._writer.wait()
        if self.pth is not None and not runner.interrupt.is_asked:
            self.pth.publish(runner)

    def close(self, runner: Run) -> None:
        self._writer.wait()  # while the work folder belongs to this run

    def save_checkpoint(self, runner: Run, *, is_best: bool = False) -> None:
        """Write the state of the run, here or at the next border. All processes call it."""
        if not runner.is_at_border:
            self._is_asked = True
            return
        progress, name = runner.progress, name_of(runner)
        self._saved = progress.step
        old, self._extra = self._extra, name if self._is_extra else None
        runner.call_hook("before_snapshot")
        weights, state = snapshot(runner)
        state["meta"] = {"epoch": progress.epoch, "iter": progress.iteration, "seed": runner.seed}
        state["state_dict"] = weights
        runner.call_hook("before_save_checkpoint", checkpoint=state)
        weights = state.pop("state_dict")
        if not is_main_process():
            return
        contract = replace(runner.contract(), metrics=dict(runner.metrics), best=dict(progress.best))

        def write() -> None:
            runner.store.save(name, weights, contract=contract, training=state, is_best=is_best, replaces=old)

        if self.asynchronous:
            weights, state = copied((weights, state))
            self._writer.start(write)
        else:
            write()

    def _save_checkpoint(self, runner: Run) -> None:
        """The name in OpenMMLab's hook."""
        self.save_checkpoint(runner)

    def state_dict(self) -> dict[str, Any]:
        state = {"mark": dict(self._mark), "saved": self._saved, "extra": self._extra}
        return state if self.pth is None else {**state, "pth": self.pth.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._mark, self._saved, self._extra = state["mark"], state["saved"], state.get("extra")
        if self.pth is not None and "pth" in state:
            self.pth.load_state_dict(state["pth"])


def name_of(runner: Run) -> str:
    """Name of a checkpoint at this place of the training."""
    return f"step_{runner.progress.step:08d}"


def save_now(runner: Run) -> None:
    """Write a checkpoint now, where the run has a `CheckpointHook`."""
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            hook.save_checkpoint(runner)


def copied(value: Any) -> Any:
    """A copy of nested dicts, lists and tuples, tensors on the CPU, that later updates do not change."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, Mapping):
        return {key: copied(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(copied(entry) for entry in value)
    return value


class Writer:
    """Writes in a thread, one thing at a time; an error is raised by the next call."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, write: Callable[[], None]) -> None:
        """Write, once what was begun before is done."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(write,), name="checkpoint")
        self._thread.start()

    def _run(self, write: Callable[[], None]) -> None:
        try:
            write()
        except BaseException as error:
            self._error = error

    def wait(self) -> None:
        """Wait until everything is written.

        Raises:
            Exception: what went wrong while it was.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error
