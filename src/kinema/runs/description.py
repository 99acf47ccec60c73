"""What a run was made of: its command, versions, host, seed and the hashes of its config, clips and classes.

`run.json` holds it, so that a figure can be traced to what made it, and two runs be compared.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from kinema import __version__
from kinema.cores import available_cores
from kinema.datasets.identity import hash_of_clips, hash_of_names
from kinema.printable import printable
from kinema.runs.settings_file import as_data, flat

_LONGEST = 60  # characters of a value in a message
GIT_SECONDS = 5.0  # a repository on a slow disk must not hold up a run
_NO_MATTER = (
    "work_dir",
    "resume",
    "load_from",
    "device",
    "trackers",
    "visualizer",
)  # of a config: runs that differ in these alone have one hash
_OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")


def describe_run(
    config: Mapping[str, Any],
    *,
    train: Any = None,
    val: Any = None,
    classes: Sequence[str] = (),
    seed: int,
    world_size: int = 1,
    device: Any = "cpu",
) -> dict[str, Any]:
    """What `run.json` says beside the config.

    Args:
        config: the resolved config.
        train: dataset of the training.
        val: dataset of the validation.
        classes: class names.
        seed: of all random numbers.
        world_size: number of processes.
        device: of this process.

    Returns:
        `started`, `command`, `folder` (where it was given), `seed`, `world_size`, `device`,
        `hashes`, `num_clips`, `versions`, `host` and `git`, as JSON can hold them.
    """
    folder = Path.cwd()
    datasets = {"train": train, "val": val}
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(sys.orig_argv),
        "folder": str(folder),
        "seed": seed,
        "world_size": world_size,
        "device": str(device),
        "hashes": {
            "config": hash_of_config(config),
            "train_clips": hash_of_clips(train),
            "val_clips": hash_of_clips(val),
            "classes": hash_of_names(classes) if classes else None,
        },
        "num_clips": {name: _length(dataset) for name, dataset in datasets.items()},
        "versions": versions(),
        "host": host(),
        "git": git_state(folder),
    }


def _length(dataset: Any) -> int | None:
    """The number of samples; None where there is no dataset, or a stream without a length."""
    try:
        return None if dataset is None else len(dataset)
    except TypeError:
        return None


def hash_of_config(config: Mapping[str, Any]) -> str:
    """The SHA-256 of a config, whatever the order of its keys, its work folder and its device."""
    kept = {key: value for key, value in as_data(config).items() if key not in _NO_MATTER}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def changed_hashes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is not the same in two descriptions, in words.

    Args:
        before: a description, or anything else: what it does not say has not changed.
        now: a description.

    Returns:
        Such as `["optim_wrapper.optimizer.lr (0.1, now 0.01)", "training clips (24, now 30)"]`.
    """
    names = {"config": "config", "train_clips": "training clips", "val_clips": "validation clips", "classes": "classes"}
    old, new = (entry.get("hashes") for entry in (before, now))
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return []
    changed = []
    for key, name in names.items():
        if None in (old.get(key), new.get(key)) or old[key] == new[key]:
            continue
        if key == "config":
            changed += changed_settings(before.get("config"), now.get("config")) or [name]
            continue
        counts = [(entry.get("num_clips") or {}).get(key.partition("_")[0]) for entry in (before, now)]
        changed.append(name if None in counts else f"{name} ({counts[0]}, now {counts[1]})")
    return changed


def changed_settings(before: Any, now: Any, most: int = 5) -> list[str]:
    """The first settings that are not the same in two configs, as data, with their values, and how many more."""
    old, new = (
        flat({key: value for key, value in config.items() if key not in _NO_MATTER})
        if isinstance(config, Mapping)
        else {}
        for config in (before, now)
    )
    if not (old and new):
        return []
    names = [name for name in {**old, **new} if old.get(name, _NOT_THERE) != new.get(name, _NOT_THERE)]
    texts = [f"{name} ({_short(old, name)}, now {_short(new, name)})" for name in names[:most]]
    return texts + ([f"{len(names) - most} more settings"] if len(names) > most else [])


_NOT_THERE = object()


def _short(values: Mapping[str, Any], name: str) -> str:
    if name not in values:
        return "not there"
    text = printable(json.dumps(values[name], ensure_ascii=False))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def versions() -> dict[str, str | None]:
    """Versions of what computes a run's figures."""
    return {
        "kinema": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "numpy": _version("numpy"),
        "av": _version("av"),
        "cv2": _version(*_OPENCV),
    }


def _version(*distributions: str) -> str | None:
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def host() -> dict[str, Any]:
    """Name, system, processor, cores and accelerators of this machine."""
    devices = []
    if torch.cuda.is_initialized():  # asking would set up a GPU that the run does not use
        devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "name": socket.gethostname(),
        "os": platform.platform(),
        "cpu": _processor(),
        "cores": available_cores(),
        "gpus": devices,
    }


def _processor() -> str:
    """Name of the processor; Linux has it in a file only."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit of the repository that `folder` is in, and whether files of it were changed.

    Returns:
        `commit`, and `dirty`, which is None where the answer takes too long; None without git, or
        outside of a repository.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit.strip(), "dirty": None if changes is None else bool(changes.strip())}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None where it cannot be asked, fails, or takes too long."""
    # Nothing that the repository's settings name is run, no lock is taken, nobody is asked.
    command = ["git", "-c", "core.fsmonitor=false", "-C", os.fspath(folder), *arguments]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=GIT_SECONDS, env=environment, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
