"""What can be known to fail before a training begins."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from torch import nn

from kinema.distributed import broadcast_object, is_main_process
from kinema.errors import ConfigError, StorageError


def check_room(work_dir: Path, model: nn.Module) -> None:
    """Refuse to train where no checkpoint has room. All processes call it.

    Raises:
        StorageError: the weights alone are larger than what is free.
    """
    needed, free = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values()), None
    if is_main_process():
        work_dir.mkdir(parents=True, exist_ok=True)  # in a script without a runner nobody has
        free = shutil.disk_usage(work_dir).free
    free = broadcast_object(free)
    if free < needed:
        raise StorageError(
            f"no room in {work_dir}: {free / 2**20:.0f} MB are free, the weights of one checkpoint alone are"
            f" {needed / 2**20:.0f} MB, its optimizer's state comes on top: make room, or choose another --work-dir"
        )


def check_figure(name: str | None, known: Iterable[str] | None, where: str) -> None:
    """Refuse a figure that no validation will have.

    Args:
        name: of the figure; None or "auto": any.
        known: names that the metrics can give, see `Evaluator.names`; None: they do not say. Metrics
            of several scores put the name of each before: `acc/rgb_top1`.
        where: that asks for it.

    Raises:
        ConfigError: there is no such figure.
    """
    if name in (None, "auto") or known is None:
        return
    assert name is not None
    names = list(known)
    if not any(name == other or _is_part(name, other) for other in names):
        raise ConfigError(f"{where}={name!r} is no metric of the evaluation: it has {', '.join(names)}")


def _is_part(name: str, other: str) -> bool:
    """Is `acc/rgb_top1` what `acc/top1` may be called with several scores?"""
    prefix, slash, last = other.rpartition("/")
    return name.startswith(prefix + slash) and name.endswith(f"_{last}")
