"""The places in a run where optional code can hook in."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kinema.registry import HOOKS

if TYPE_CHECKING:
    from kinema.engine.runner import Runner

PRIORITIES = {"HIGHEST": 0, "VERY_HIGH": 10, "HIGH": 30, "ABOVE_NORMAL": 40, "NORMAL": 50}
PRIORITIES |= {"BELOW_NORMAL": 60, "LOW": 70, "VERY_LOW": 90, "LOWEST": 100}


@HOOKS.register_module()
class Hook:
    """Base of hooks: override the points you need. Hooks of a higher priority (a lower number) run first.

    Points of a run: `before_run`, `after_run`, `before_train`, `after_train`, `before_train_epoch`, `after_train_epoch`,
    `before_train_iter(runner, batch_idx, data_batch)`, `after_train_iter(runner, batch_idx, data_batch, outputs)`,
    the same with `val` and `test` (`after_val_epoch(runner, metrics)`), `before_save_checkpoint(runner, checkpoint)`,
    `after_load_checkpoint(runner, checkpoint)`.
    """

    priority: str | int = "NORMAL"

    def before_run(self, runner: "Runner") -> None: ...

    def after_run(self, runner: "Runner") -> None: ...

    def before_train(self, runner: "Runner") -> None: ...

    def after_train(self, runner: "Runner") -> None: ...

    def before_train_epoch(self, runner: "Runner") -> None: ...

    def after_train_epoch(self, runner: "Runner") -> None: ...

    def before_train_iter(self, runner: "Runner", batch_idx: int, data_batch: Any = None) -> None: ...

    def after_train_iter(
        self, runner: "Runner", batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None: ...

    def before_val(self, runner: "Runner") -> None: ...

    def after_val(self, runner: "Runner") -> None: ...

    def before_val_epoch(self, runner: "Runner") -> None: ...

    def after_val_epoch(self, runner: "Runner", metrics: Mapping[str, float] | None = None) -> None: ...

    def before_val_iter(self, runner: "Runner", batch_idx: int, data_batch: Any = None) -> None: ...

    def after_val_iter(
        self, runner: "Runner", batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None: ...

    def before_test(self, runner: "Runner") -> None: ...

    def after_test(self, runner: "Runner") -> None: ...

    def before_test_epoch(self, runner: "Runner") -> None: ...

    def after_test_epoch(self, runner: "Runner", metrics: Mapping[str, float] | None = None) -> None: ...

    def before_test_iter(self, runner: "Runner", batch_idx: int, data_batch: Any = None) -> None: ...

    def after_test_iter(
        self, runner: "Runner", batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None: ...

    def before_save_checkpoint(self, runner: "Runner", checkpoint: dict[str, Any]) -> None: ...

    def after_load_checkpoint(self, runner: "Runner", checkpoint: dict[str, Any]) -> None: ...

    @staticmethod
    def every_n_epochs(runner: "Runner", n: int) -> bool:
        """True at the end of every n-th epoch."""
        return n > 0 and (runner.epoch + 1) % n == 0

    @staticmethod
    def every_n_train_iters(runner: "Runner", n: int) -> bool:
        """True at every n-th training step."""
        return n > 0 and (runner.iter + 1) % n == 0


def build_hooks(entries: Sequence[Any]) -> list[Hook]:
    """Hooks of configs (`dict(type=..., priority=...)`) or objects, in the order in which they run."""
    hooks = []
    for entry in entries:
        hook = entry
        if isinstance(entry, Mapping):
            settings = dict(entry)
            priority = settings.pop("priority", None)
            hook = HOOKS.build(settings)
            if priority is not None:
                hook.priority = priority
        hooks.append(hook)
    return sorted(hooks, key=lambda hook: _rank(hook.priority))


def _rank(priority: str | int) -> int:
    if isinstance(priority, str):
        if priority.upper() not in PRIORITIES:
            raise ValueError(f"priority must be a number or one of {', '.join(PRIORITIES)}, got {priority!r}")
        return PRIORITIES[priority.upper()]
    return int(priority)
