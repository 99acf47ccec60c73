"""`ProfilerHook` for runners that are not Kinema's."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kinema import hooks
from kinema.training.run import Run


class ProfilerHook(hooks.ProfilerHook):
    """Kinema's `ProfilerHook`; under another runner it profiles from `before_run` on."""

    _is_done = False  # under another runner

    def before_run(self, runner: Any) -> None:
        """Start, under another runner.

        Raises:
            ValueError: its training is shorter than what is to be profiled.
        """
        super().before_run(runner)
        if isinstance(runner, Run):
            return
        unit = "epochs" if self.by_epoch else "iters"
        if self.profile_times > getattr(runner, f"max_{unit}"):
            raise ValueError(
                f"ProfilerHook: profile_times={self.profile_times} is more than the {unit} of the training,"
                f" {getattr(runner, f'max_{unit}')}"
            )
        self.profiler = self._profiler_of(runner)
        self.profiler.__enter__()

    def before_train(self, runner: Any) -> None:
        if isinstance(runner, Run):
            super().before_train(runner)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        if isinstance(runner, Run):
            super().after_train_iter(runner, batch_idx, data_batch, outputs)
        elif self.profiler is not None and not self._is_done:
            self.profiler.step()
            if not self.by_epoch and runner.iter == self.profile_times - 1:
                self._export_chrome_trace(runner)

    def after_train_epoch(self, runner: Any) -> None:
        if isinstance(runner, Run):
            super().after_train_epoch(runner)
        elif self.by_epoch and not self._is_done and runner.epoch == self.profile_times - 1:
            self._export_chrome_trace(runner)

    def after_train(self, runner: Any) -> None:
        if isinstance(runner, Run):
            super().after_train(runner)

    def _parse_trace_config(self, runner: Any) -> Callable[[Any], Any] | None:
        is_written_here = self.on_trace_ready is None and not isinstance(runner, Run)
        return None if is_written_here else super()._parse_trace_config(runner)

    def _export_chrome_trace(self, runner: Any) -> None:
        """Stop, and write the file that was asked for; by MMEngine's name, which subclasses override."""
        self._is_done = True
        if self.profiler is None:
            return
        self.profiler.__exit__(None, None, None)
        if self.json_trace_path is not None:
            Path(self.json_trace_path).parent.mkdir(parents=True, exist_ok=True)
            self.profiler.export_chrome_trace(self.json_trace_path)
