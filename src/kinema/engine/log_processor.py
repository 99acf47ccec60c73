"""`LogProcessor` with MMEngine's interface: from the figures of the message hub to a line of the log."""

import copy
import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinema.errors import ConfigError
from kinema.registry import LOG_PROCESSORS

_GAP = "  "
_OF_TIME = ("time", "data_time")


@LOG_PROCESSORS.register_module()
class LogProcessor:
    """Collects the figures of a mode and formats them as OpenMMLab's logs do.

    A config's `log_processor` makes the lines of the log; a subclass may override any of its
    methods.

    Args:
        window_size: the last values of a figure that are averaged.
        by_epoch: count epochs in the lines, otherwise iterations.
        custom_cfg: further statistics: `data_src` (a figure), `method_name` (a method of
            `HistoryBuffer`), `window_size` (a number, "epoch" or "global"), `log_name`.
        num_digits: after the decimal point.
        log_with_hierarchy: keep `train/` and `val/` in the names.
        mean_pattern: figures of such names are averaged, of others the newest counts.

    Raises:
        ConfigError: `custom_cfg` asks for a window of an epoch without epochs, or twice for one name.
    """

    def __init__(
        self,
        window_size: int = 10,
        by_epoch: bool = True,
        custom_cfg: Sequence[Mapping[str, Any]] | None = None,
        num_digits: int = 4,
        log_with_hierarchy: bool = False,
        mean_pattern: str = r".*(loss|time|data_time|grad_norm).*",
    ) -> None:
        self.window_size, self.by_epoch, self.num_digits = window_size, by_epoch, num_digits
        self.custom_cfg = list(custom_cfg or [])
        self.log_with_hierarchy = log_with_hierarchy
        self.mean_pattern = re.compile(mean_pattern)
        self._check_custom_cfg()

    # ---- lines

    def get_log_after_iter(self, runner: Any, batch_idx: int, mode: str) -> tuple[dict[str, Any], str]:
        """Figures by name and the line of the log after a batch.

        Args:
            runner: the run.
            batch_idx: number of the batch in the pass.
            mode: "train", "val" or "test".
        """
        settings = self._parse_windows_size(runner, batch_idx, self.custom_cfg)
        figures = self._collect_scalars(settings, runner, mode)
        named = self._collect_scalars(settings, runner, mode, True) if self.log_with_hierarchy else dict(figures)
        words = [self._head(runner, batch_idx, mode, named)]
        named["iter"] = 0 if self._is_unbuilt(runner) else runner.iter + 1
        rates = [name for name in figures if name.endswith("lr")]
        words.append(" ".join(f"{name}: {figures.pop(name):.{self.num_digits}e}" for name in rates))
        if all(name in figures for name in _OF_TIME) and "eta" in runner.message_hub.runtime_info:
            left = datetime.timedelta(seconds=int(runner.message_hub.get_info("eta")))
            words += [f"eta: {left}", *(f"{name}: {self._shown(figures.pop(name))}" for name in _OF_TIME)]
        if torch.cuda.is_available():
            named["memory"] = self._get_max_memory(runner)
            words.append(f"memory: {named['memory']}")
        if mode == "val":
            figures = {name: value for name, value in figures.items() if name.startswith("val/loss")}
        line = _GAP.join(words) + _GAP
        if mode in ("train", "val"):
            line += _GAP.join(f"{name}: {self._shown(value)}" for name, value in figures.items())
        return named, line

    def get_log_after_epoch(
        self, runner: Any, batch_idx: int, mode: str, with_non_scalar: bool = False
    ) -> tuple[dict[str, Any], str]:
        """Figures by name and the line of the log after a validation or a test.

        Args:
            runner: the run.
            batch_idx: number of the last batch.
            mode: "val" or "test".
            with_non_scalar: return the facts of the mode with the figures.

        Raises:
            ValueError: it is another mode.
        """
        if mode not in ("val", "test"):
            raise ValueError(f"get_log_after_epoch: mode must be 'val' or 'test', got {mode!r}")
        over_all = {"method_name": "mean", "window_size": batch_idx + 1}
        times = [{"data_src": name, **over_all} for name in _OF_TIME]
        settings = [*times, *self._parse_windows_size(runner, batch_idx, self.custom_cfg)]
        length = self._get_dataloader_size(runner, mode)
        epoch = f"[{self._get_epoch(runner, mode)}]" if self.by_epoch and mode == "val" else ""
        head = f"{'Epoch' if self.by_epoch else 'Iter'}({mode}) {epoch}[{length}/{length}]{_GAP * 2}"
        named = self._collect_scalars(settings, runner, mode, self.log_with_hierarchy)
        facts = self._collect_non_scalars(runner, mode)
        last = {name: value for name, value in named.items() if name.removeprefix(f"{mode}/") in _OF_TIME}
        named = {name: value for name, value in named.items() if name not in last}
        shown = _GAP.join(f"{name}: {self._shown(value)}" for name, value in {**named, **facts, **last}.items())
        return {**named, **(facts if with_non_scalar else {}), **last}, head + shown

    def _head(self, runner: Any, batch_idx: int, mode: str, named: dict[str, Any]) -> str:
        """Such as `Epoch(train)  [2][ 10/120]`; the epoch goes into `named`."""
        of_whole = mode == "train" and not self.by_epoch
        total = runner.max_iters if of_whole else self._get_dataloader_size(runner, mode)
        number = self._get_iter(runner, batch_idx) if of_whole else batch_idx + 1
        place = f"[{number:>{len(str(total))}}/{total}]"
        if not self.by_epoch:
            return f"Iter({mode}) {place}"
        if mode not in ("train", "val"):
            return f"Epoch({mode}) {place}"
        named["epoch"] = self._get_epoch(runner, mode)
        width = 0 if self._is_unbuilt(runner) else len(str(runner.max_epochs)) + 3
        return f"Epoch({mode})" + f"[{named['epoch']}]".rjust(width) + place

    def _shown(self, value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.{self.num_digits}f}"
        return f"\n{value}\n" if isinstance(value, Tensor | np.ndarray) else str(value)

    # ---- figures

    def _collect_scalars(
        self, custom_cfg: Sequence[Mapping[str, Any]], runner: Any, mode: str, reserve_prefix: bool = False
    ) -> dict[str, Any]:
        """The statistics of the figures of a mode, with or without `MODE/` before their names."""
        prefix = f"{mode}/"
        buffers = {
            name if reserve_prefix else self._remove_prefix(name, prefix): buffer
            for name, buffer in runner.message_hub.log_scalars.items()
            if name.startswith(mode)
        }
        figures = {
            name: buffer.mean(self.window_size) if self.mean_pattern.search(name) else buffer.current()
            for name, buffer in buffers.items()
        }
        for entry in custom_cfg:
            settings = dict(entry)
            source = settings.pop("data_src")
            name = settings.pop("log_name", source)
            if reserve_prefix:
                source, name = prefix + source, prefix + name
            if source in buffers:
                figures[name] = getattr(buffers[source], settings.pop("method_name"))(**settings)
        return figures

    def _collect_non_scalars(self, runner: Any, mode: str) -> dict[str, Any]:
        """The facts of a mode."""
        prefix = f"{mode}/"
        return {
            name if self.log_with_hierarchy else self._remove_prefix(name, prefix): value
            for name, value in runner.message_hub.runtime_info.items()
            if name.startswith(prefix)
        }

    def _remove_prefix(self, string: str, prefix: str) -> str:
        return string.removeprefix(prefix)

    def _check_custom_cfg(self) -> None:
        names = set()
        for entry in self.custom_cfg:
            if not self.by_epoch and entry.get("window_size") == "epoch":
                raise ConfigError("log_processor.custom_cfg: window_size='epoch' needs by_epoch=True")
            name = entry.get("log_name", entry["data_src"])
            if name in names:
                raise ConfigError(f"log_processor.custom_cfg: two statistics are named {name!r}: give one a log_name")
            names.add(name)

    def _parse_windows_size(
        self, runner: Any, batch_idx: int, custom_cfg: Sequence[Mapping[str, Any]] | None = None
    ) -> list[dict[str, Any]]:
        """A copy of the statistics whose windows are numbers.

        Raises:
            ConfigError: a window is no number, and neither "epoch" nor "global".
        """
        settings = [dict(entry) for entry in copy.deepcopy(list(self.custom_cfg if custom_cfg is None else custom_cfg))]
        for entry in settings:
            size = entry.get("window_size")
            if size == "epoch":
                entry["window_size"] = batch_idx + 1
            elif size == "global":
                entry["window_size"] = runner.iter + 1
            elif size is not None and not isinstance(size, int):
                raise ConfigError(
                    f"log_processor.custom_cfg: window_size must be a number, 'epoch' or 'global', got {size!r}"
                )
        return settings

    # ---- places

    def _get_max_memory(self, runner: Any) -> int:
        """The most memory of the GPU that was in use, in MB."""
        device = getattr(runner.model, "output_device", None)
        return int(torch.cuda.max_memory_allocated(device) / 2**20)

    def _get_iter(self, runner: Any, batch_idx: int) -> int:
        return batch_idx + 1 if self.by_epoch else int(runner.iter) + 1

    def _get_epoch(self, runner: Any, mode: str) -> int:
        if mode == "train":
            return int(runner.epoch) + 1
        if mode == "val":
            return 0 if self._is_unbuilt(runner) else int(runner.epoch)
        raise ValueError(f"only training and validation have epochs, got mode={mode!r}")

    def _is_unbuilt(self, runner: Any) -> bool:
        """Has the run no training loop yet?"""
        loop = runner._train_loop
        return loop is None or isinstance(loop, dict)

    def _get_cur_loop(self, runner: Any, mode: str) -> Any:
        return getattr(runner, f"{mode if mode in ('train', 'val') else 'test'}_loop")

    def _get_dataloader_size(self, runner: Any, mode: str) -> int:
        return len(self._get_cur_loop(runner, mode).dataloader)
