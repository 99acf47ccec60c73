"""From the options of `kinema train` to the config of a run, and whether that fits the run to resume."""

import inspect
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from kinema.errors import ConfigError
from kinema.openmmlab.keywords import needless_keywords

logger = logging.getLogger("kinema")

# Settings that may differ when the same run is resumed.
MAY_CHANGE = (
    *("max_epochs", "max_iters", "max_steps", "patience", "num_workers", "persistent_workers", "resume", "device"),
    *("work_dir", "checkpoint.interval", "strategy", "launcher"),
)


def read_patience(text: str | None) -> int | Literal["off"] | None:
    """`--patience` as `classification` takes it.

    Raises:
        ConfigError: it is neither a number from 1 nor "off".
    """
    if text is None:
        return None
    if text == "off":
        return "off"
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--patience: expected a number of epochs from 1, or 'off', got {text!r}")
    return int(text)


def check_choices(
    precision: str | None, strategy: str | None, track: Sequence[str], settings: Mapping[str, Any]
) -> None:
    """Refuse what `--precision`, `--strategy` and `--track` name wrongly, before minutes are spent on the clips.

    Args:
        precision: of the option.
        strategy: of the option.
        track: of the option.
        settings: of `--set`; those of trackers wait for the whole config.

    Raises:
        ConfigError: there is no such precision, strategy or tracker.
        MissingDependencyError: the library of a tracker is not installed.
    """
    from kinema.distributed import is_main_process
    from kinema.openmmlab.distribution import strategy_of
    from kinema.optim.precision import Precision
    from kinema.runs.trackers import build_trackers, tracker_configs

    if precision is not None:
        Precision(precision)  # type: ignore[arg-type]
    strategy_of({"strategy": strategy})
    if is_main_process() and not any(key.split(".")[0] == "trackers" for key in settings):  # which alone tracks
        build_trackers(tracker_configs(track))


def known_settings(settings: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `--set` by key; one whose first part is a key of nothing is a misspelling."""
    from kinema.engine import Runner

    known = {*config, *inspect.signature(Runner).parameters, *needless_keywords(Runner)}
    for key in settings:
        first = key.split(".")[0]
        if first not in known:
            raise ConfigError(f"cannot set {key}: there is no {first!r}; the config has {', '.join(config)}")
    return settings


def check_resumed(folder: Path, config: Mapping[str, Any]) -> None:
    """A run can only be resumed with the classes it began with; other changes are logged."""
    from kinema.runs.settings_file import as_data, flat, read_settings

    settings = read_settings(folder) if config["resume"] else None
    if settings is None:
        return
    before, now = flat(settings), flat(as_data(config))
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    for key in changed:
        if key.endswith("metainfo.classes"):
            raise ConfigError(
                f"{folder}: the run began with the classes {before.get(key)}, the data now has {now.get(key)}: "
                "resume with the same data, or choose another --work-dir"
            )
    no_settings = ("trackers", "custom_hooks.0.notes")  # the recipe's notes say again what other keys set
    changed = [key for key in changed if not key.endswith(MAY_CHANGE) and not key.startswith(no_settings)]
    if changed:
        shown = ", ".join(f"{key} {before.get(key)!r} -> {now.get(key)!r}" for key in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        logger.warning("going on with other settings than the run began with: %s%s", shown, more)


def run_name(data: Path) -> str:
    """Name of the work folder: the data's, where `train` says nothing."""
    path = data.resolve()
    return path.parent.name if path.stem == "train" else path.stem


def hold_folder(stack: ExitStack, folder: Path) -> Any:
    """Keep other runs out of the work folder until the command ends.

    Raises:
        ConfigError: it is a file.
    """
    from kinema.runs.work_folder import hold

    require_folder(folder)
    return stack.enter_context(hold(folder))


def require_folder(folder: Path) -> None:
    """Require of a work folder that it is no file.

    Raises:
        ConfigError: it is one.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file: the work folder must be a folder, or not be there yet")
