"""OpenMMLab's hooks that keep a run's books: the message hub, and those whose work Kinema does elsewhere."""

from collections.abc import Mapping
from typing import Any

from kinema.hooks.hook import Hook
from kinema.registry import HOOKS
from kinema.training.run import Run


@HOOKS.register_module()
class RuntimeInfoHook(Hook):
    """Keep the message hub up to date: facts of the run, and the figures of steps and validations.

    Facts: `seed`, `max_epochs`, `max_iters`, `epoch`, `iter`, `dataset_meta`, `loop_stage`. Figures:
    `train/lr` and `train/NAME` of what the training steps return, `val/NAME`, `test/NAME`.
    """

    priority = "VERY_HIGH"

    def before_run(self, runner: Run) -> None:
        runner.message_hub.update_info("seed", runner.seed)

    def before_train(self, runner: Run) -> None:
        hub, loop = runner.message_hub, runner.train_loop
        meta = dict(getattr(loop.dataloader.dataset, "metainfo", None) or {})
        facts = {"loop_stage": "train", "max_epochs": runner.max_epochs, "max_iters": runner.max_iters}
        hub.update_info_dict(facts, resumed=False)
        hub.update_info("dataset_meta", meta, resumed=False)

    def before_train_epoch(self, runner: Run) -> None:
        runner.message_hub.update_info("epoch", runner.progress.epoch)

    def before_train_iter(self, runner: Run, batch_idx: int, data_batch: Any = None) -> None:
        runner.message_hub.update_info("iter", runner.progress.iteration)

    def after_train_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        hub, step = runner.message_hub, runner.train_step
        hub.note("train/lr", step.optim_wrapper.param_groups[0]["lr"])  # type: ignore[union-attr]
        for name, value in (outputs or {}).items():
            hub.note(f"train/{name}", value)

    def before_val(self, runner: Run) -> None:
        runner.message_hub.update_info("loop_stage", "val", resumed=False)

    def after_val(self, runner: Run) -> None:
        runner.message_hub.update_info("loop_stage", "train", resumed=False)

    def before_test(self, runner: Run) -> None:
        runner.message_hub.update_info("loop_stage", "test", resumed=False)

    def after_val_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        _note(runner, "val", metrics)

    def after_test_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        _note(runner, "test", metrics)


def _note(runner: Run, split: str, metrics: Mapping[str, Any] | None) -> None:
    """Numbers become figures, anything else facts, as in OpenMMLab."""
    for name, value in (metrics or {}).items():
        if isinstance(value, int | float):
            runner.message_hub.note(f"{split}/{name}", float(value))
        else:
            runner.message_hub.update_info(f"{split}/{name}", value, resumed=False)


@HOOKS.register_module()
class IterTimerHook(Hook):
    """Nothing is left to do: `LoggerHook` measures. For users' subclasses."""


@HOOKS.register_module()
class DistSamplerSeedHook(Hook):
    """Nothing is left to do: the loop tells the loader its epoch, and the loader its sampler. For users' subclasses."""


@HOOKS.register_module()
class SyncBuffersHook(Hook):
    """Nothing is left to do: the strategy aligns buffers before evaluations and checkpoints. For users' subclasses."""
