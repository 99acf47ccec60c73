"""Broken videos of a run: named, counted, written down; too many of them stop it."""

import logging
from collections.abc import Mapping
from typing import Any

from kinema.datasets import ReproducibleLoader
from kinema.datasets.broken import BrokenSample, num_allowed
from kinema.datasets.loader import describe_broken
from kinema.distributed import broadcast_object, gather_objects, get_world_size, is_main_process
from kinema.errors import ConfigError, VideoError
from kinema.hooks.hook import Hook
from kinema.registry import HOOKS
from kinema.runs.broken_list import BrokenList
from kinema.training.run import Run

logger = logging.getLogger("kinema")

FILE_NAME = "broken.jsonl"


@HOOKS.register_module()
class BrokenVideosHook(Hook):
    """Counts the broken videos that a training meets and writes them into `broken.jsonl` in the work folder.

    The file has a line `{"path", "error", "count", "split"}` for each video. The runner adds this
    hook to every training. The main process alone counts; the others send it what they met, at
    fixed steps and at the end of each epoch. A checkpoint holds the counts, so that a resumed run
    continues with those of the run before.

    Args:
        interval: steps between two exchanges of several processes; a single one counts at once.

    Raises:
        ConfigError: the training loader would leave samples out, which is for evaluation.
        VideoError: a larger share of the training samples than the loader's `max_broken_share` is
            broken.
    """

    priority = "VERY_LOW"

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self._list = BrokenList()
        self._samples: set[int] = set()  # broken ones of the training data; several may be of one video
        self._unsent: list[BrokenSample] = []
        self._has_new = False  # since the last exchange
        self._in_epoch = 0

    def before_train(self, runner: Run) -> None:
        loader = runner.train_loop.dataloader
        self._list.file = runner.work_dir / FILE_NAME
        if is_main_process():
            self._list.write()
        if not isinstance(loader, ReproducibleLoader):
            return
        if loader.when_broken == "leave out":
            raise ConfigError(
                "train_dataloader: allow_broken is for evaluation; training replaces broken videos, "
                "as many as max_broken_share says"
            )
        loader.on_broken = self._count_training if is_main_process() else self._unsent.append

    def after_train_iter(
        self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        is_due = self._has_new if get_world_size() == 1 else self.every_n_inner_iters(batch_idx, self.interval)
        if is_due:
            self._exchange(runner)

    def after_train_epoch(self, runner: Run) -> None:
        self._exchange(runner)
        if self._in_epoch and is_main_process():
            self._list.write()
            logger.warning(
                "epoch %d: samples replaced because they are broken: %d; broken videos so far: %d, listed in %s",
                *(runner.progress.epoch + 1, self._in_epoch, len(self._list.of("train")), self._list.file),
            )
        self._in_epoch = 0

    def after_val_epoch(self, runner: Run, metrics: Mapping[str, float] | None = None) -> None:
        broken = getattr(runner.loops.get("val"), "broken", ())
        if broken and self._list.file is not None and is_main_process():
            self._list.count("val", broken)
            self._list.write()

    def before_snapshot(self, runner: Run) -> None:
        self._exchange(runner)

    def state_dict(self) -> dict[str, Any]:
        return {"videos": self._list.state(), "samples": sorted(self._samples), "in_epoch": self._in_epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._list.load(state["videos"])
        self._samples, self._in_epoch, self._has_new = set(state["samples"]), state["in_epoch"], True

    def _count_training(self, record: BrokenSample) -> None:
        """Count one, in the main process; written down at once, since the run may not reach the epoch's end."""
        if self._list.count_at_once("train", record):
            logger.warning("%s", describe_broken(record))
        self._samples.add(record.index)
        self._in_epoch += 1
        self._has_new = True

    def _exchange(self, runner: Run) -> None:
        """Bring the other processes' records to the main one; stop all of them when there are too many.

        Every process comes here at the same steps, whatever it met.
        """
        met = [record for records in gather_objects(self._unsent) for record in records]
        self._unsent.clear()
        if is_main_process():
            for record in met:
                self._count_training(record)
        self._has_new = False
        loader = runner.train_loop.dataloader
        if not isinstance(loader, ReproducibleLoader):
            return
        verdict = broadcast_object(self._verdict(loader) if is_main_process() else None)
        if verdict is not None:
            if is_main_process():
                self._list.write()
            raise VideoError(verdict)

    def _verdict(self, loader: ReproducibleLoader) -> str | None:
        """What is wrong when too many samples are broken."""
        count = len(loader.dataset)  # type: ignore[arg-type]
        if len(self._samples) <= num_allowed(count, loader.max_broken_share):
            return None
        return (
            f"{len(self._samples)} of {count} training samples are broken, more than the share of"
            f" {loader.max_broken_share:g} that train_dataloader.max_broken_share allows: {self._list.file} lists"
            " them; take them out, or train without them by --set train_dataloader.max_broken_share=1;"
            f" the last: {self._list.of('train')[-1].error}"
        )
