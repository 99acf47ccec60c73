"""`CheckpointHook` for runners that are not Kinema's."""

import math
import operator
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from kinema import hooks
from kinema.compat.parts.fileio.choosing import get_file_backend
from kinema.compat.parts.fileio.client import FileClient
from kinema.runs.history import rule_of
from kinema.training.run import Run

_ORDER = ("interval", "by_epoch", "save_optimizer", "save_param_scheduler", "out_dir", "max_keep_ckpts")


class CheckpointHook(hooks.CheckpointHook):
    """Kinema's `CheckpointHook`; another runner writes `.pth` files by its `save_checkpoint`.

    Without an `interval` there is no `.pth` file but the last and the best, as there; checkpoints to
    resume from are written after every epoch all the same.

    Args:
        args, kwargs: those of `kinema.hooks.CheckpointHook`.

    Attributes:
        rule_map, init_value_map: by "greater" or "less" how two values compare, and what is worse
            than any value.
        key_indicators, rules: the figures of the best files, and "greater" or "less" for each.
        is_better_than: by figure, whether a value is better than another.
        best_ckpt_path, best_ckpt_path_dict: the best file, of several figures by name.
        last_ckpt: the newest file.

    Raises:
        ValueError: `file_client_args` and `backend_args` are both given.
    """

    rule_map: ClassVar = {"greater": operator.gt, "less": operator.lt}
    init_value_map: ClassVar = {"greater": -math.inf, "less": math.inf}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        given = {**dict(zip(_ORDER, args, strict=False)), **kwargs}
        self.interval = given.get("interval", -1)
        self.save_optimizer = given.get("save_optimizer") is not False
        self.save_param_scheduler = given.get("save_param_scheduler") is not False
        self._given_out_dir: Any = given.get("out_dir")
        self.out_dir: Any = self._given_out_dir
        self.max_keep_ckpts: int = self.keep if self.max_keep_ckpts is not None else -1
        self.filename_tmpl = given.get("filename_tmpl") or ("epoch_{}.pth" if self.by_epoch else "iter_{}.pth")
        self.file_client_args, self.backend_args = given.get("file_client_args"), given.get("backend_args")
        if self.file_client_args is not None and self.backend_args is not None:
            raise ValueError("CheckpointHook: give file_client_args or backend_args, not both")
        self.args: dict[str, Any] = {}
        self._is_called = False  # by a subclass, in the method that saves
        self.last_ckpt: str | None = None
        self.keep_ckpt_ids: deque[int] = deque()
        self.best_ckpt_path: str | None = None
        self.best_ckpt_path_dict: dict[str, str] = {}
        figures = self.save_best = kwargs.get("save_best")
        if figures is None and self.pth is not None:
            self.pth.rules = {}  # where nobody asks for a best file, OpenMMLab's tools expect none
        self.key_indicators = [figures] if isinstance(figures, str) else list(figures or ())
        rules = [self.rule] if self.rule is None or isinstance(self.rule, str) else list(self.rule)
        if len(rules) == 1:
            rules *= len(self.key_indicators)
        self.rules: list[str | None] = [
            rule or (None if key == "auto" else rule_of(key) or "greater")
            for key, rule in zip(self.key_indicators, rules, strict=True)
        ]

    @property
    def is_better_than(self) -> dict[str, Callable[[float, float], bool]]:
        pairs = zip(self.key_indicators, self.rules, strict=True)
        return {key: self.rule_map[rule] for key, rule in pairs if rule is not None}

    def at_border(self, runner: Run) -> None:
        super().at_border(runner)
        if self.pth is not None:
            folder = self.pth.folder(runner)
            self.last_ckpt = None if self.pth.last is None else str(folder / self.pth.last)
            best = {figure: str(folder / name) for figure, (_, name) in self.pth.best.items()}
            if len(self.pth.rules) == 1:
                self.best_ckpt_path = next(iter(best.values()), None)
            else:
                self.best_ckpt_path_dict = best

    def _save_pth(self, runner: Run) -> None:
        """Write the file of this place, unless a subclass saves in its own way, in place of the method for it."""
        if self.interval == -1 and not (self.save_last and runner.train_loop.is_done):
            return
        method = "after_train_epoch" if self.by_epoch else "after_train_iter"
        if getattr(type(self), method) is getattr(CheckpointHook, method) or self._is_called:
            super()._save_pth(runner)
        self._is_called = False

    # ---- under another runner

    def before_train(self, runner: Any) -> None:
        super().before_train(runner)
        if isinstance(runner, Run):
            return
        self.out_dir = str(runner.work_dir)
        if self._given_out_dir is not None:
            self.out_dir = str(Path(self._given_out_dir, Path(self.out_dir).name))
        self.file_client = FileClient.infer_client(self.file_client_args, self.out_dir)
        self.file_backend: Any = (
            self.file_client
            if self.file_client_args
            else get_file_backend(self.out_dir, backend_args=self.backend_args)
        )
        for key in self.key_indicators:
            best = runner.message_hub.get_info(f"best_ckpt{self._suffix(key)}")
            if isinstance(best, str):
                self._note_best(key, best)
        kept = runner.message_hub.get_info("keep_ckpt_ids")
        if isinstance(kept, list | tuple | deque):
            self.keep_ckpt_ids = deque(kept)

    def after_train_epoch(self, runner: Any) -> None:
        super().after_train_epoch(runner)
        self._is_called |= self.by_epoch
        if isinstance(runner, Run) or not self.by_epoch:
            return
        is_last = self.save_last and self.is_last_train_epoch(runner)
        if self.every_n_epochs(runner, _number(self.interval), self.save_begin) or is_last:
            self._write(runner, runner.epoch + 1)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        self._is_called |= not self.by_epoch
        if isinstance(runner, Run) or self.by_epoch:
            return
        is_last = self.save_last and self.is_last_train_iter(runner)
        if self.every_n_train_iters(runner, _number(self.interval), self.save_begin) or is_last:
            self._write(runner, runner.iter + 1)

    def after_val_epoch(self, runner: Any, metrics: Mapping[str, float] | None = None) -> None:
        super().after_val_epoch(runner, metrics)
        if isinstance(runner, Run):
            return
        if metrics is not None and len(metrics) == 0:
            runner.logger.warning("the validation gave no figures: no best checkpoint is written")
            return
        if metrics and self.key_indicators == ["auto"]:
            self.key_indicators = [next(iter(metrics))]
            self.rules = [rule_of(self.key_indicators[0]) or "greater" if self.rule is None else self.rules[0]]
        for key in self.key_indicators if metrics else ():
            if key not in metrics:  # type: ignore[operator]
                raise KeyError(f"CheckpointHook: save_best={key!r}, but the validation gave {', '.join(metrics)}")  # type: ignore[arg-type]
            if metrics[key] is not None:  # type: ignore[index]
                self._write_best(runner, key, metrics[key])  # type: ignore[index]

    def _write(self, runner: Any, number: int) -> None:
        """The regular file of an epoch or iteration; those that are too old are removed."""
        self.last_ckpt = self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(number))
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        self._save(
            runner,
            self.filename_tmpl.format(number),
            by_epoch=self.by_epoch,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
        )
        Path(runner.work_dir, "last_checkpoint").write_text(str(self.last_ckpt), encoding="utf-8")
        if self.max_keep_ckpts > 0:
            self.keep_ckpt_ids.append(number)
            while len(self.keep_ckpt_ids) > self.max_keep_ckpts:
                old = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
                self._remove(self.file_backend.join_path(self.out_dir, old))
            runner.message_hub.update_info("keep_ckpt_ids", list(self.keep_ckpt_ids))

    def _write_best(self, runner: Any, key: str, value: float) -> None:
        """A file in place of the best before, if `value` is better."""
        hub, suffix = runner.message_hub, self._suffix(key)
        best, old = hub.get_info(f"best_score{suffix}"), hub.get_info(f"best_ckpt{suffix}")
        if best is not None and not self.is_better_than[key](value, best):
            return
        number = runner.epoch if self.by_epoch else runner.iter
        name = f"best_{key.replace('/', '_')}_{self.filename_tmpl.format(number)}"
        path = self.file_backend.join_path(self.out_dir, name)
        hub.update_info(f"best_score{suffix}", value)
        hub.update_info(f"best_ckpt{suffix}", path)
        self._note_best(key, path)
        if old and old != path:
            self._remove(old)
        self._save(runner, name, by_epoch=False, save_optimizer=False, save_param_scheduler=False)

    def _suffix(self, key: str) -> str:
        """Behind the names of the facts of a figure, where there are several."""
        return f"_{key}" if len(self.key_indicators) > 1 else ""

    def _note_best(self, key: str, path: str) -> None:
        if self._suffix(key):
            self.best_ckpt_path_dict[key] = path
        else:
            self.best_ckpt_path = path

    def _save(self, runner: Any, name: str, **settings: bool) -> None:
        places = {"file_client_args": self.file_client_args, "backend_args": self.backend_args}
        runner.save_checkpoint(self.out_dir, name, **places, **settings, **self.args)

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)


def _number(interval: int | str) -> int:
    return interval if isinstance(interval, int) else -1
