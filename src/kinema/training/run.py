"""A run: what its hooks may read and change."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from kinema.checkpoints.contract import ModelContract
from kinema.checkpoints.store import CheckpointStore
from kinema.distributed import is_main_process
from kinema.evaluation import Evaluator
from kinema.optim.schedules import Position, Schedule, schedules_by_optimizer
from kinema.optim.wrapper_dict import label
from kinema.runs.history import Monitor
from kinema.runs.message_hub import CheckpointedHub, MessageHub
from kinema.runs.records import MetricsFile
from kinema.training.interrupt import DeferredInterrupt
from kinema.training.priorities import build_hooks
from kinema.training.progress import Progress
from kinema.training.step import TrainStep


class Stateful(Protocol):
    """A part of a run whose state is in every checkpoint."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values."""

    def load_state_dict(self, state: Any) -> None:
        """Take the state of `state_dict()` back."""


class Run:
    """The parts of a run, under one roof for its hooks.

    Args:
        model: on its device.
        work_dir: folder for the files of the run.
        train_step: trains on one batch; None: the run only evaluates.
        hooks: objects or configs.
        keep: checkpoints to keep, see `CheckpointStore`.
        seed: of the random numbers.
        name: of its message hub; default: that of the work folder.

    Attributes:
        network: the model, without what wraps it for several processes.
        progress: the counters.
        loops: what moves them, "train", and what evaluates, "val" and "test"; there once needed.
        schedules: of learning rate and momentum; of several optimizers a dict of lists by name.
        history: the validations, see `kinema.runs.history`.
        monitor: which figure of a validation says how good the model is.
        train_figures: of the epoch that was trained last.
        metrics: of the validation at this place of the training; empty: there was none.
        notes: further entries of the summary.
        stop_reason: why training ends before its end; None: it does not.
        interrupt: signals that wait for the next border.
        message_hub: figures and facts that hooks leave for each other.
        line_processor: makes the lines of the log, see `kinema.engine.log_processor`; None:
            `LoggerHook` does.
        is_at_border: hooks are being called where everything can be saved.
        closing: contexts that hooks enter for the time of a training, however it ends.
        evaluating: likewise for an evaluation.
    """

    def __init__(
        self,
        model: nn.Module,
        work_dir: Path,
        train_step: TrainStep | None = None,
        *,
        hooks: Sequence[Any] = (),
        keep: int = 3,
        seed: int = 0,
        name: str | None = None,
    ) -> None:
        self.network: Any = model
        self.work_dir = Path(work_dir)
        self.train_step = train_step
        self.hooks = build_hooks(hooks)
        self.seed = seed
        self.device: torch.device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self.progress = Progress()
        self.store = CheckpointStore(self.work_dir, keep)
        self.metrics_file = MetricsFile(self.work_dir / "metrics.jsonl")
        self.schedules: Any = []
        self.loops: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.monitor = Monitor()
        self.train_figures: dict[str, float] = {}
        self.metrics: dict[str, float] = {}
        self.notes: dict[str, Any] = {}
        self.stop_reason: str | None = None
        self.interrupt = DeferredInterrupt()
        self.message_hub = MessageHub.begin(name or self.work_dir.name)
        self.line_processor: Any = None
        self.is_at_border = False
        self.closing, self.evaluating = ExitStack(), ExitStack()

    @property
    def model(self) -> Any:
        """The model, as users' code reads it."""
        return self.network

    @model.setter
    def model(self, model: Any) -> None:
        self.network = model

    def call_hook(self, point: str, **arguments: Any) -> None:
        """Call `point` of every hook that has it."""
        outer = self.is_at_border
        self.is_at_border = outer or point == "at_border"
        try:
            for hook in self.hooks:
                called = getattr(hook, point, None)
                if called is not None:
                    called(self, **arguments)
        finally:
            self.is_at_border = outer

    def register_hook(self, hook: Any, priority: str | int | None = None) -> None:
        """Add a hook, an object or its config; `priority` goes before the hook's own."""
        self.hooks = build_hooks([*self.hooks, *build_hooks([hook], priority)])

    def record(self, split: str, figures: Mapping[str, float], pace: Mapping[str, float] | None = None) -> None:
        """Write figures of this place of the training down: in `metrics.jsonl`, and by the hooks' `after_record`.

        Args:
            split: "train" or "val".
            figures: by name.
            pace: how fast it went, see `kinema.runs.console.pace_of`; not the same in each run, so
                that `metrics.jsonl` does not have it.
        """
        if is_main_process():
            self.metrics_file.write(
                step=self.progress.step,
                epoch=self.progress.present_epoch,
                split=split,
                figures=figures,
                seconds=self.progress.seconds,
            )
        self.call_hook("after_record", split=split, figures={**figures, **(pace or {})})

    def stop(self, reason: str) -> None:
        """Let the training end at this border, with a checkpoint."""
        self.stop_reason = reason
        self.train_loop.stop_training = self.train_loop.stops_at_border = True

    @property
    def train_loop(self) -> Any:
        """What trains; None until needed."""
        return self.loops.get("train")

    @train_loop.setter
    def train_loop(self, loop: Any) -> None:
        self.loops["train"] = loop

    @property
    def val_loop(self) -> Any:
        """What validates; None until needed."""
        return self.loops.get("val")

    @val_loop.setter
    def val_loop(self, loop: Any) -> None:
        self.loops["val"] = loop

    @property
    def test_loop(self) -> Any:
        """What tests; None until needed."""
        return self.loops.get("test")

    @test_loop.setter
    def test_loop(self, loop: Any) -> None:
        self.loops["test"] = loop

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return self.progress.epoch

    @property
    def iter(self) -> int:
        """Batches that are done."""
        return self.progress.iteration

    @property
    def position(self) -> Position:
        """Where the training is, for the schedules."""
        return Position(
            self.epoch,
            self.iter,
            self.train_loop.epoch_length,
            max_epochs=self.num_epochs or None,
            max_steps=None if self.num_epochs else self.max_iters or None,
        )

    @property
    def optim_wrapper(self) -> Any:
        """What updates the weights."""
        assert self.train_step is not None  # training has begun
        return self.train_step.optim_wrapper

    @property
    def is_training(self) -> bool:
        """Is a training under way, and not only an evaluation?"""
        loop = self.loops.get("train")
        return loop is not None and loop.is_running

    @property
    def known_figures(self) -> list[str] | None:
        """The figures that a validation can have; None: the metrics, or a loop of the user's own, do not say."""
        evaluator = getattr(self.loops.get("val"), "evaluator", None)
        return evaluator.names() if isinstance(evaluator, Evaluator) else None

    @property
    def num_epochs(self) -> int:
        """Epochs of the training; 0 where it is not counted in epochs."""
        loop = self.loops.get("train")
        until = getattr(loop, "until", None)
        return 0 if until is None else until.epochs or 0

    @property
    def max_epochs(self) -> int:
        """Epochs of the training; as in OpenMMLab's runner 1 where it is not counted in epochs."""
        return self.num_epochs or 1

    @property
    def max_iters(self) -> int:
        """Batches of the whole training; 0 where they are not known."""
        loop: Any = self.loops.get("train")
        if getattr(loop, "until", None) is None:
            return int(getattr(loop, "max_iters", 0))
        return loop.until.iterations_left(Progress(), loop.batches_per_epoch, loop.accumulate) or 0

    @contextmanager
    def evaluated_weights(self) -> Iterator[None]:
        """Around an evaluation: the averages of the weights, where there are some; the same in all processes."""
        with ExitStack() as stack:
            if self.train_step is not None:
                if self.train_step.ema is not None:
                    stack.enter_context(self.train_step.ema.applied())
                stack.enter_context(self.train_step.strategy.evaluating())
            yield

    def contract(self) -> ModelContract:
        """What the checkpoints of the run say of the model: its config, classes, sampling."""
        known = getattr(self.network, "contract", None)
        return known if isinstance(known, ModelContract) else ModelContract()

    def about_checkpoint(self) -> dict[str, Any]:
        """Further entries of `meta` in a `.pth` file."""
        return {}

    def parts(self) -> Mapping[str, Stateful]:
        """Everything with a state, by name, but for model and optimizer, which the strategy saves."""
        assert self.train_step is not None  # an evaluation saves nothing
        wrappers = self.train_step.optim_wrapper.wrappers
        parts: dict[str, Any] = {"progress": self.progress}
        parts |= {label("precision", name): wrapper.precision for name, wrapper in wrappers.items()}
        parts |= {
            "metrics_file": self.metrics_file,
            "train_loop": self.train_loop,
            "message_hub": CheckpointedHub(self.message_hub),
        }
        for name, schedules in schedules_by_optimizer(self.schedules).items():
            of = label("schedule", name)
            parts |= {f"{of}.{place}": part for place, part in enumerate(schedules) if _has_state(part)}
        for hook in self.hooks:
            if hasattr(hook, "load_state_dict"):
                name = type(hook).__name__
                place = sum(key.split("#")[0] == f"hook.{name}" for key in parts)
                parts[f"hook.{name}" + (f"#{place}" if place else "")] = hook
        return parts


def _has_state(schedule: Any) -> bool:
    if isinstance(schedule, Schedule):  # a function of the place, but for one
        return schedule.follows_metrics
    return hasattr(schedule, "state_dict")
