"""Where the time and the memory of a training go."""

import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, tensorboard_trace_handler
from torch.profiler import schedule as profiler_schedule

from kinema.distributed import get_rank
from kinema.errors import ConfigError
from kinema.hooks.hook import Hook
from kinema.registry import HOOKS
from kinema.training.run import Run

logger = logging.getLogger("kinema")


@HOOKS.register_module()
class ProfilerHook(Hook):
    """Profile the first epochs or batches of a training with torch's profiler; the trace is for ui.perfetto.dev.

    Args:
        by_epoch: `profile_times` counts epochs, otherwise batches.
        profile_times: how many to profile.
        activity_with_cpu, activity_with_cuda: what to profile.
        schedule: `dict(wait=1, warmup=1, active=3, repeat=1)`, see `torch.profiler.schedule`, in
            batches; then all of the training is followed.
        on_trace_ready: called with the profiler when a trace is ready; `dict(type="log_trace",
            sort_by="self_cpu_time_total", row_limit=20)` logs a table, `dict(type="tb_trace",
            dir_name=...)` writes for TensorBoard; None writes `profile/trace_RANK_BATCH.json` into
            the work folder.
        record_shapes, profile_memory, with_stack, with_flops: see `torch.profiler.profile`.
        json_trace_path: the file, in place of that in the work folder.

    Raises:
        TypeError: `schedule` lacks a keyword.
        ConfigError: `schedule` is no dict, nothing to profile, no CUDA device, or no such handler.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        *,
        by_epoch: bool = True,
        profile_times: int = 1,
        activity_with_cpu: bool = True,
        activity_with_cuda: bool = False,
        schedule: Mapping[str, int] | None = None,
        on_trace_ready: Callable[[Any], Any] | Mapping[str, Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        json_trace_path: str | None = None,
    ) -> None:
        if profile_times < 1:
            raise ConfigError(f"ProfilerHook: profile_times must be at least 1, got {profile_times}")
        if not (activity_with_cpu or activity_with_cuda):
            raise ConfigError("ProfilerHook: nothing to profile: set activity_with_cpu or activity_with_cuda")
        if activity_with_cuda and not torch.cuda.is_available():
            raise ConfigError("ProfilerHook: activity_with_cuda needs a CUDA device, and there is none here")
        if not isinstance(schedule, Mapping | None):
            raise ConfigError(f"ProfilerHook: schedule must be a dict such as dict(wait=1, ...), got {schedule!r}")
        self.schedule = None if schedule is None else profiler_schedule(**schedule)
        chosen = {ProfilerActivity.CPU: activity_with_cpu, ProfilerActivity.CUDA: activity_with_cuda}
        self.activities = [key for key, is_on in chosen.items() if is_on]
        self.record_shapes, self.profile_memory = record_shapes, profile_memory
        self.with_stack, self.with_flops = with_stack, with_flops
        self.by_epoch, self.profile_times = by_epoch, profile_times
        self.on_trace_ready, self.json_trace_path = on_trace_ready, json_trace_path
        if not (callable(on_trace_ready) or isinstance(on_trace_ready, Mapping | None)):
            raise ConfigError(f"ProfilerHook: on_trace_ready must be a function or a dict, got {on_trace_ready!r}")
        if isinstance(on_trace_ready, Mapping) and on_trace_ready.get("type") not in ("log_trace", "tb_trace"):
            raise ConfigError(f"ProfilerHook: on_trace_ready.type must be log_trace or tb_trace, got {on_trace_ready}")
        self.profiler: profile | None = None
        self._left = profile_times

    def before_train(self, runner: Run) -> None:
        """Start."""
        self.profiler = self._profiler_of(runner)
        self.profiler.start()

    def after_train_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        if self.profiler is not None and self.schedule is not None:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*Profiler clears events", UserWarning)  # of cycles before: written
                self.profiler.step()
        elif not self.by_epoch:
            self._count()

    def after_train_epoch(self, runner: Run) -> None:
        if self.by_epoch and self.schedule is None:
            self._count()

    def after_train(self, runner: Run) -> None:
        self._stop()

    def _profiler_of(self, runner: Run) -> profile:
        names = ("activities", "schedule", "record_shapes", "profile_memory", "with_stack", "with_flops")
        settings: dict[str, Any] = {name: getattr(self, name) for name in names}
        return profile(**settings, on_trace_ready=self._parse_trace_config(runner))

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._stop()

    def _stop(self) -> None:
        if self.profiler is not None:
            self.profiler.stop()
            self.profiler = None

    def _parse_trace_config(self, runner: Run) -> Callable[[Any], Any] | None:
        """What is called with the profiler when a trace is ready; by MMEngine's name, which subclasses override."""
        if callable(self.on_trace_ready):
            return self.on_trace_ready
        options = dict(self.on_trace_ready or {})
        kind = options.pop("type", None)
        if kind == "tb_trace":
            return tensorboard_trace_handler(options.pop("dir_name", str(runner.work_dir / "profile")), **options)
        if kind == "log_trace":
            return lambda profiler: logger.info("profile:\n%s", profiler.key_averages().table(**options))

        def write(profiler: Any) -> None:
            name = f"trace_{get_rank()}_{runner.progress.iteration}.json"
            file = Path(self.json_trace_path or runner.work_dir / "profile" / name)
            file.parent.mkdir(parents=True, exist_ok=True)
            profiler.export_chrome_trace(str(file))
            logger.info("profile: open %s in ui.perfetto.dev", file)

        return write
