"""`LoggerHook` for runners that are not Kinema's."""

import inspect
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kinema import hooks
from kinema.compat.parts.fileio.choosing import get_file_backend
from kinema.compat.parts.fileio.client import FileClient
from kinema.compat.parts.paths import scandir
from kinema.hooks.recording import write_figures
from kinema.openmmlab.keywords import log_needless, needless_keywords
from kinema.training.run import Run


class LoggerHook(hooks.LoggerHook):
    """Kinema's `LoggerHook`; another runner's figures go to its log processor, logger and visualizer.

    Args:
        interval: batches between two lines.
        ignore_last: of another runner, leave the last batches of an epoch out that make no whole interval.
        interval_exp_name: of another runner, batches between two lines with the name of the run.
        out_dir, out_suffix, keep_local: where another runner's files of these suffixes go at the
            end, and whether they stay in its log folder, too.
        file_client_args, backend_args: how `out_dir` is reached.
        log_metric_by_epoch: whether another runner's figures of validations are placed by epochs.

    Raises:
        TypeError, ValueError: an argument is of another kind, or out of range.
    """

    def __init__(
        self,
        interval: int = 10,
        ignore_last: bool = True,
        interval_exp_name: int = 1000,
        out_dir: str | os.PathLike[str] | None = None,
        out_suffix: Sequence[str] | str = (".json", ".log", ".py", "yaml"),
        keep_local: bool = True,
        file_client_args: Mapping[str, Any] | None = None,
        log_metric_by_epoch: bool = True,
        backend_args: Mapping[str, Any] | None = None,
    ) -> None:
        kinds = {"interval": int, "ignore_last": bool, "interval_exp_name": int, "keep_local": bool}
        for name, kind in kinds.items():
            if not isinstance(locals()[name], kind):
                raise TypeError(f"LoggerHook: {name} must be of type {kind.__name__}, got {locals()[name]!r}")
        if not isinstance(out_dir, str | os.PathLike | None):
            raise TypeError(f"LoggerHook: out_dir must be a path, got {out_dir!r}")
        if interval_exp_name < 1:
            raise ValueError(f"LoggerHook: interval_exp_name must be at least 1, got {interval_exp_name}")
        if file_client_args is not None and (backend_args is not None or out_dir is None):
            raise ValueError("LoggerHook: file_client_args are for an out_dir, and instead of backend_args")
        super().__init__(interval)
        self.ignore_last, self.interval_exp_name = ignore_last, interval_exp_name
        self.out_dir, self.out_suffix, self.keep_local = out_dir, out_suffix, keep_local
        self.log_metric_by_epoch = log_metric_by_epoch
        self.file_client_args, self.backend_args = file_client_args, backend_args
        self.json_log_path: str | None = None
        if out_dir is not None:
            self.file_client = FileClient.infer_client(file_client_args, out_dir)
            self.file_backend: Any = get_file_backend(out_dir, backend_args=backend_args)

    # ---- under another runner

    def before_run(self, runner: Any) -> None:
        super().before_run(runner)
        if isinstance(runner, Run):
            defaults = inspect.signature(LoggerHook).parameters
            names = needless_keywords(hooks.LoggerHook)
            log_needless("LoggerHook", [name for name in names if getattr(self, name) != defaults[name].default])
            return
        if self.out_dir is not None:
            self.out_dir = self.file_backend.join_path(self.out_dir, Path(runner.work_dir).name)
        self.json_log_path = f"{runner.timestamp}.json"

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        if isinstance(runner, Run):
            super().after_train_iter(runner, batch_idx, data_batch, outputs)
            return
        loader = runner.train_dataloader
        if self.every_n_train_iters(runner, self.interval_exp_name) or self.end_of_epoch(loader, batch_idx):
            runner.logger.info(f"Exp name: {runner.experiment_name}")
        if self.every_n_inner_iters(batch_idx, self.interval) or (
            self.end_of_epoch(loader, batch_idx) and (len(loader) <= self.interval or not self.ignore_last)
        ):
            figures, line = runner.log_processor.get_log_after_iter(runner, batch_idx, "train")
            runner.logger.info(line)
            runner.visualizer.add_scalars(figures, step=runner.iter + 1, file_path=self.json_log_path)

    def _say_batch(self, runner: Any, batch_idx: int, mode: str) -> None:
        if isinstance(runner, Run):
            super()._say_batch(runner, batch_idx, mode)
        elif self.every_n_inner_iters(batch_idx, self.interval):
            runner.logger.info(runner.log_processor.get_log_after_iter(runner, batch_idx, mode)[1])

    def after_val_epoch(self, runner: Any, metrics: Mapping[str, float] | None = None) -> None:
        if isinstance(runner, Run):
            super().after_val_epoch(runner, metrics)
            return
        length = len(runner.val_dataloader)
        figures, line = runner.log_processor.get_log_after_epoch(runner, length, "val")
        runner.logger.info(line)
        is_unbuilt = runner._train_loop is None or isinstance(runner._train_loop, dict)
        epoch = 0 if is_unbuilt else runner.epoch
        step = epoch if self.log_metric_by_epoch else runner.iter
        runner.visualizer.add_scalars(figures, step=step, file_path=self.json_log_path)

    def after_test_epoch(self, runner: Any, metrics: Mapping[str, float] | None = None) -> None:
        if isinstance(runner, Run):
            super().after_test_epoch(runner, metrics)
            return
        length = len(runner.test_dataloader)
        figures, line = runner.log_processor.get_log_after_epoch(runner, length, "test", with_non_scalar=True)
        runner.logger.info(line)
        write_figures(Path(runner.log_dir, self.json_log_path or "test.json"), figures)

    def after_run(self, runner: Any) -> None:
        super().after_run(runner)
        if isinstance(runner, Run):
            return
        runner.visualizer.close()
        if self.out_dir is None:
            return
        suffixes = self.out_suffix if isinstance(self.out_suffix, str) else tuple(self.out_suffix)
        for name in list(scandir(runner._log_dir, suffixes, recursive=True)):
            file = Path(runner._log_dir, name)
            self.file_backend.put_text(
                file.read_text(encoding="utf-8"), self.file_backend.join_path(self.out_dir, name)
            )
            if not self.keep_local:
                file.unlink()
