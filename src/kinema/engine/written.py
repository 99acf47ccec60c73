"""What a run writes of itself: `run.json` and `config.py` at its start, `summary.json` at its end, logs of tests."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from kinema import __version__
from kinema.config import Config
from kinema.distributed import get_world_size, is_main_process
from kinema.errors import ConfigError
from kinema.files import write_text
from kinema.logs import log_to_file, stop_logging
from kinema.openmmlab import run_files
from kinema.printable import first_line
from kinema.runs.description import changed_hashes, describe_run
from kinema.runs.history import summary_of
from kinema.runs.settings_file import as_data, flat, read_run, write_settings
from kinema.training.run import Run

logger = logging.getLogger("kinema")


def keep_config(
    run: Run, config: Mapping[str, Any], experiment: str, classes: Sequence[str], source: Path | None = None
) -> None:
    """Write what the run is made of into the work folder: as data in `run.json`, the config also as Python.

    What changed since a run that is resumed was started last, is logged. A config that holds
    objects is no Python, which is logged, too. `source` is the config's file, by whose name
    programs for OpenMMLab look for it there; one that lies in the work folder stays as it is.
    """
    if not is_main_process():
        return
    # A config that is run again starts again: to resume is asked of a run, not of a config.
    plain = Config({**config, "resume": False})
    datasets = {
        split: None if (loop := run.loops.get(split)) is None else loop.dataloader.dataset for split in ("train", "val")
    }
    description = describe_run(
        plain, **datasets, classes=classes, seed=run.seed, world_size=get_world_size(), device=run.device
    )
    description_now = {**description, "config": as_data(plain)}
    changed = changed_hashes(read_run(run.work_dir) or {}, description_now) if run.progress.iteration else []
    if changed:
        logger.warning("changed since the run was started last: %s", ", ".join(changed))
    write_settings(run.work_dir, plain, {"experiment": experiment, **description, **_origins(config)})
    try:
        if config:
            plain.dump(run.work_dir / "config.py")
            if run_files.also_pth and source is not None and source.suffix == ".py":
                copy = run.work_dir / source.name
                if copy.resolve() != source.resolve():
                    plain.dump(copy)
    except ConfigError as error:
        logger.warning("config.py is not written: %s", error)


def _origins(config: Mapping[str, Any]) -> dict[str, Any]:
    """The file and line of each value, as the entry `origins`; empty of a config that came from no file."""
    try:
        places = config.places() if isinstance(config, Config) else None
    except ConfigError:  # the file is not there any more
        return {}
    return {} if places is None else {"origins": {key: places.of(key) for key in flat(as_data(config))}}


@contextmanager
def evaluation_log(run: Run, timestamp: str) -> Iterator[None]:
    """Around a test or validation alone: write `TIMESTAMP/TIMESTAMP.log` into the work folder for OpenMMLab's code."""
    if run.is_training or not run_files.also_pth or not is_main_process():
        yield
        return
    folder = run.work_dir / timestamp
    folder.mkdir(parents=True, exist_ok=True)
    log = log_to_file(folder / f"{timestamp}.log")
    try:
        yield
    finally:
        stop_logging(log)


@contextmanager
def summary_written(run: Run, experiment: str, classes: Sequence[str]) -> Iterator[None]:
    """Around a training: write `summary.json` when it ends, however it does, and log what the figures warn of.

    Only a run that is killed leaves none: what an earlier start of it wrote is removed.
    """
    file = run.work_dir / "summary.json"
    if is_main_process():
        file.unlink(missing_ok=True)
    problem: BaseException | None = None
    try:
        yield
    except BaseException as error:
        problem = error
        raise
    finally:
        if is_main_process():
            with suppress(Exception) if problem is not None else nullcontext():  # the first error is the one to show
                summary = _summary(run, experiment, classes, problem)
                try:
                    write_text(file, json.dumps(summary, indent=2) + "\n")
                finally:  # a full disk, too, is an end
                    run.call_hook("after_summary", summary=summary)


def _summary(run: Run, experiment: str, classes: Sequence[str], problem: BaseException | None) -> dict[str, Any]:
    progress, last = run.progress, run.store.pointed("last")
    is_stopped = run.interrupt.number is not None or isinstance(problem, KeyboardInterrupt)
    state = "stopped" if is_stopped else "finished" if problem is None else "failed"
    reason = run.stop_reason if problem is None else f"{type(problem).__name__}: {first_line(problem)}"
    summary = {
        "experiment": experiment,
        "kinema_version": __version__,
        "state": state,
        "reason": reason,
        "epochs": progress.epoch,
        "steps": progress.step,
        **summary_of(run.history, progress.best),
        "stopped_early": state == "finished" and reason is not None,
        "last": None if last is None else last.name,
        "classes": list(classes),
        "parameters": sum(parameter.numel() for parameter in run.network.parameters()),
        "seed": run.seed,
        "device": str(run.device),
        "train_seconds": round(progress.seconds, 3),
        **run.notes,
    }
    if state == "finished":
        for sentence in summary["warnings"]:
            logger.warning("%s", sentence)
    return summary
