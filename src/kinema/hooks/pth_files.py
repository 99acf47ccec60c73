"""The `.pth` files that OpenMMLab's tools look for, beside Kinema's own checkpoints."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kinema.checkpoints.reading import read_checkpoint
from kinema.distributed import is_main_process
from kinema.errors import ConfigError
from kinema.files import sha256_of, written_whole
from kinema.runs.history import rule_of
from kinema.training.openmmlab_files import place_of, point_to, write_pth
from kinema.training.run import Run

logger = logging.getLogger("kinema")


class PthFiles:
    """`epoch_N.pth` or `iter_N.pth`, `best_FIGURE_epoch_N.pth`, and `last_checkpoint`, which names the newest.

    Args:
        by_epoch: count epochs in the names.
        out_dir: folder for them, in a folder of the work folder's name; None: the work folder.
        keep: how many of the newest to keep; -1: all. The best are kept beside them.
        filename_tmpl: their name, with `{}` for the number.
        save_optimizer, save_param_scheduler: what they hold beside the weights.
        published_keys: entries that copies of the last and the best keep, which the end of the
            training writes as `NAME-HASH.pth`; None: there are none.
        save_best: figures of the validations that each have a best file; "auto": the first figure.
        rules: "greater" or "less" is better, for each; default: less for losses and errors.

    Raises:
        ConfigError: the rules are not one, or one a figure; "auto" is one of several.
    """

    def __init__(
        self,
        *,
        by_epoch: bool,
        out_dir: Any = None,
        keep: int = -1,
        filename_tmpl: str | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        published_keys: str | Sequence[str] | None = None,
        save_best: str | Sequence[str] | None = None,
        rules: str | Sequence[str] | None = None,
    ) -> None:
        self.by_epoch, self.given_out_dir, self.keep = by_epoch, out_dir, keep
        self.filename_tmpl = filename_tmpl or ("epoch_{}.pth" if by_epoch else "iter_{}.pth")
        self.save_optimizer, self.save_param_scheduler = save_optimizer, save_param_scheduler
        self.published_keys = [published_keys] if isinstance(published_keys, str) else published_keys
        figures = [save_best] if isinstance(save_best, str) else list(save_best or ())
        given = [rules] * len(figures) if rules is None or isinstance(rules, str) else list(rules)
        if len(given) == 1:
            given *= len(figures)
        if len(given) != len(figures):
            raise ConfigError(
                f"default_hooks.checkpoint: there are {len(given)} rules for {len(figures)} figures of save_best:"
                " give one rule, or one a figure"
            )
        if len(set(figures)) < len(figures):
            raise ConfigError(f"default_hooks.checkpoint: save_best names a figure twice: {', '.join(figures)}")
        if "auto" in figures and len(figures) > 1:
            raise ConfigError("default_hooks.checkpoint: save_best='auto' cannot be one of several figures")
        self.rules = dict(zip(figures, given, strict=True))
        # Names in the folder: a copy of a run that is resumed must leave the files of the original alone.
        self.kept: list[str] = []  # the regular ones, in order
        self.best: dict[str, tuple[float, str]] = {}  # figure -> its best value, and the file
        self.last: str | None = None

    def folder(self, run: Run) -> Path:
        """Where the files are."""
        return run.work_dir if self.given_out_dir is None else Path(self.given_out_dir) / run.work_dir.name

    def save(self, run: Run) -> None:
        """Write the file of this border, name it in `last_checkpoint`, remove those that are too old.

        All processes call it. Inside an epoch there is none, where the names count epochs.
        """
        if self.by_epoch and run.progress.batch:
            return
        folder, self.last = self.folder(run), self.filename_tmpl.format(self._number(run))
        run.message_hub.update_info("last_ckpt", str(folder / self.last))  # which the file itself holds
        file = self._write(run, self.filename_tmpl)
        if self.last not in self.kept:
            self.kept.append(self.last)
        old, self.kept = (self.kept[: -self.keep], self.kept[-self.keep :]) if self.keep > 0 else ([], self.kept)
        if is_main_process():
            point_to(file)
            for name in old:
                (folder / name).unlink(missing_ok=True)

    def save_best(self, run: Run, metrics: Mapping[str, float]) -> None:
        """Write a file for each figure that is better than ever before, in place of the one before. All call it."""
        for given, rule in self.rules.items():
            figure = next(iter(metrics)) if given == "auto" else given
            if figure not in metrics:
                continue
            is_less = (rule or rule_of(figure)) == "less"
            value, (best, old) = float(metrics[figure]), self.best.get(figure, (math.inf if is_less else -math.inf, ""))
            if not (value < best if is_less else value > best):
                continue
            file = self._write(run, f"best_{figure.replace('/', '_')}_{self.filename_tmpl}")
            name = str(file.relative_to(self.folder(run)))
            if old and old != name and is_main_process():
                (self.folder(run) / old).unlink(missing_ok=True)
            self.best[figure] = (value, name)
            suffix = f"_{figure}" if len(self.rules) > 1 else ""
            run.message_hub.update_info_dict({f"best_score{suffix}": value, f"best_ckpt{suffix}": str(file)})

    def _write(self, run: Run, name: str) -> Path:
        """Write a file, by `save_checkpoint` of the runner, which users override, where it has that."""
        file = self.folder(run) / name.format(self._number(run))
        save = getattr(run, "save_checkpoint", None)
        if save is None:
            options = {"with_optimizer": self.save_optimizer, "with_schedules": self.save_param_scheduler}
            return write_pth(run, file, run.about_checkpoint(), by_epoch=self.by_epoch, **options)
        options = {"save_optimizer": self.save_optimizer, "save_param_scheduler": self.save_param_scheduler}
        save(str(file.parent), filename=file.name, by_epoch=self.by_epoch, **options)
        return file

    def _number(self, run: Run) -> int:
        return place_of(run, by_epoch=self.by_epoch)["epoch" if self.by_epoch else "iter"]

    def publish(self, run: Run) -> None:
        """Write copies of the last file and of the best ones that hold `published_keys` alone."""
        if self.published_keys is None or not is_main_process():
            return
        for name in filter(None, [self.last, *(file for _, file in self.best.values())]):
            file = self.folder(run) / name
            read = read_checkpoint(file)
            content = {**read.content, read.key: read.state}
            if missing := [key for key in self.published_keys if key not in content]:
                logger.warning("%s: has no %s to publish", file, ", ".join(missing))
            published = file.with_name(f"{file.stem}-published{file.suffix}")
            with written_whole(published, "wb") as opened:
                torch.save({key: content[key] for key in self.published_keys if key in content}, opened)
            digest = sha256_of(published)[:8]
            published.rename(file.with_name(f"{file.stem}-{digest}{file.suffix}"))

    def state_dict(self) -> dict[str, Any]:
        """What there is."""
        best = {figure: list(entry) for figure, entry in self.best.items()}
        return {"kept": list(self.kept), "best": best, "last": self.last}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the state of `state_dict()` back; that of an earlier version has whole paths."""
        self.kept, self.last = [_name(name) for name in state["kept"]], state["last"] and _name(state["last"])
        self.best = {figure: (float(entry[0]), _name(entry[1])) for figure, entry in state["best"].items()}


def _name(file: str) -> str:
    return Path(file).name if Path(file).is_absolute() else file
