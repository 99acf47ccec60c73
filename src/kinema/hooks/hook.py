"""The places in a run where optional code can hook in."""

from collections.abc import Mapping, Sequence, Sized
from typing import Any, ClassVar

from kinema.registry import HOOKS
from kinema.training.priorities import Priority, get_priority
from kinema.training.run import Run


@HOOKS.register_module()
class Hook:
    """Base of hooks: override the points you need.

    Hooks of a higher priority (a lower number) run first.

    Points of a run: `before_run`, `after_run`, `before_train`, `after_train`, `before_train_epoch`,
    `after_train_epoch`, `before_train_iter(runner, batch_idx, data_batch)`,
    `after_train_iter(runner, batch_idx, data_batch, outputs)`, the same with `val` and `test`
    (`after_val_epoch(runner, metrics)`), `before_save_checkpoint(runner, checkpoint)`,
    `after_load_checkpoint(runner, checkpoint)`. What a hook does in all three modes alike it may
    write once, in `_before_epoch`, `_after_epoch`, `_before_iter` or `_after_iter`, which get the
    `mode`.

    Kinema's own: `before_optimizer(runner)`, where the model has its weights and the optimizer is
    about to be built; `at_border(runner)`, where everything can be saved, since the counters are up to
    date and no gradients wait; `before_snapshot(runner)`, where a hook brings together in the main
    process what a checkpoint shall hold of it; `after_record(runner, split, figures)`, when figures
    were written down; `after_summary(runner, summary)`, also of a run that failed, in the main
    process only; `close(runner)`, when a training is over, however it ended; `state_dict()` and
    `load_state_dict(state)`, what is in every checkpoint.
    """

    priority: Any = "NORMAL"  # a name, a number or a `Priority`
    stages: ClassVar[tuple[str, ...]] = (
        *("before_run", "after_load_checkpoint", "before_train", "before_train_epoch", "before_train_iter"),
        *("after_train_iter", "after_train_epoch", "before_val", "before_val_epoch", "before_val_iter"),
        *("after_val_iter", "after_val_epoch", "after_val", "before_save_checkpoint", "after_train"),
        *("before_test", "before_test_epoch", "before_test_iter", "after_test_iter", "after_test_epoch"),
        *("after_test", "after_run"),
    )

    def before_run(self, runner: Run) -> None: ...

    def after_run(self, runner: Run) -> None: ...

    def before_train(self, runner: Run) -> None: ...

    def after_train(self, runner: Run) -> None: ...

    def before_val(self, runner: Run) -> None: ...

    def after_val(self, runner: Run) -> None: ...

    def before_test(self, runner: Run) -> None: ...

    def after_test(self, runner: Run) -> None: ...

    def before_optimizer(self, runner: Run) -> None: ...

    def at_border(self, runner: Run) -> None: ...

    def before_snapshot(self, runner: Run) -> None: ...

    def close(self, runner: Run) -> None: ...

    def after_record(self, runner: Run, split: str, figures: Mapping[str, float]) -> None: ...

    def after_summary(self, runner: Run, summary: Mapping[str, Any]) -> None: ...

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...

    def before_save_checkpoint(self, runner: Run, checkpoint: dict[str, Any]) -> None: ...

    def after_load_checkpoint(self, runner: Run, checkpoint: dict[str, Any]) -> None: ...

    def before_train_epoch(self, runner: Run) -> None:
        self._before_epoch(runner, mode="train")

    def after_train_epoch(self, runner: Run) -> None:
        self._after_epoch(runner, mode="train")

    def before_train_iter(self, runner: Run, batch_idx: int, data_batch: Any = None) -> None:
        self._before_iter(runner, batch_idx, data_batch, mode="train")

    def after_train_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        self._after_iter(runner, batch_idx, data_batch, outputs, mode="train")

    def before_val_epoch(self, runner: Run) -> None:
        self._before_epoch(runner, mode="val")

    def after_val_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        self._after_epoch(runner, mode="val")

    def before_val_iter(self, runner: Run, batch_idx: int, data_batch: Any = None) -> None:
        self._before_iter(runner, batch_idx, data_batch, mode="val")

    def after_val_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        self._after_iter(runner, batch_idx, data_batch, outputs, mode="val")

    def before_test_epoch(self, runner: Run) -> None:
        self._before_epoch(runner, mode="test")

    def after_test_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        self._after_epoch(runner, mode="test")

    def before_test_iter(self, runner: Run, batch_idx: int, data_batch: Any = None) -> None:
        self._before_iter(runner, batch_idx, data_batch, mode="test")

    def after_test_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        self._after_iter(runner, batch_idx, data_batch, outputs, mode="test")

    def _before_epoch(self, runner: Run, mode: str = "train") -> None: ...

    def _after_epoch(self, runner: Run, mode: str = "train") -> None: ...

    def _before_iter(self, runner: Run, batch_idx: int, data_batch: Any = None, mode: str = "train") -> None: ...

    def _after_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Any = None, mode: str = "train"
    ) -> None: ...

    # The questions below are for the points of training: there `runner.epoch` and `runner.iter` do
    # not count the present one.

    @staticmethod
    def every_n_epochs(runner: Run, n: int, start: int = 0) -> bool:
        """True in every n-th epoch, counted from `start`."""
        return _is_nth(runner.epoch + 1 - start, n)

    @staticmethod
    def every_n_train_iters(runner: Run, n: int, start: int = 0) -> bool:
        """True at every n-th training step, counted from `start`."""
        return _is_nth(runner.iter + 1 - start, n)

    @staticmethod
    def every_n_inner_iters(batch_idx: int, n: int) -> bool:
        """True at every n-th batch of an epoch."""
        return _is_nth(batch_idx + 1, n)

    @staticmethod
    def end_of_epoch(dataloader: Sized, batch_idx: int) -> bool:
        """True at the last batch of an epoch."""
        return batch_idx + 1 == len(dataloader)

    @staticmethod
    def is_last_train_epoch(runner: Run) -> bool:
        """True in the last epoch of the training."""
        return bool(runner.epoch + 1 == runner.max_epochs)

    @staticmethod
    def is_last_train_iter(runner: Run) -> bool:
        """True at the last step of the training."""
        return bool(runner.iter + 1 == runner.max_iters)

    def get_triggered_stages(self) -> list[str]:
        """The points of a run that this hook overrides, in the order of `stages`."""
        kind = type(self)
        return [
            stage
            for stage in Hook.stages
            if any(
                name and getattr(kind, name, None) is not getattr(Hook, name) for name in (stage, _SHARED.get(stage))
            )
        ]


# What a point calls unless it is overridden.
_SHARED = {
    f"{when}_{mode}_{what}": f"_{when}_{what}"
    for when in ("before", "after")
    for mode in ("train", "val", "test")
    for what in ("epoch", "iter")
}


def _is_nth(done: int, n: int) -> bool:
    return n > 0 and done >= 0 and done % n == 0


def points_of(hooks: Sequence[Any]) -> str:
    """For each point of a run the hooks that do something there, in their order, with their priorities."""
    points = [name for name in vars(Hook) if name.startswith(("before_", "after_", "at_"))]
    lines = []
    width = max(map(len, Priority.__members__))
    numbers = {priority.value: priority.name for priority in Priority}
    for point in points:
        general = "_" + point.replace("_train", "").replace("_val", "").replace("_test", "")
        does = [hook for hook in hooks if _does(hook, point, general)]
        if does:
            ranks = [get_priority(hook.priority) for hook in does]
            names = [f"({numbers.get(rank, str(rank)):<{width}}) " for rank in ranks]
            shown = [f"{name}{type(hook).__name__:<35}" for name, hook in zip(names, does, strict=True)]
            lines += [f"{point}:", *shown, " -------------------- "]
    return "\n".join(lines)


def _does(hook: Any, point: str, general: str) -> bool:
    """Does a hook override a point, or what it shares with the other modes?"""
    kind = type(hook)
    own = getattr(kind, point, None)
    return own is not None and (
        own is not getattr(Hook, point) or getattr(kind, general, None) is not getattr(Hook, general, None)
    )
