"""Configs of MMAction2 by their path below `configs/`, for `mmaction.testing`."""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from kinema.config import Config
from kinema.errors import ConfigError


def get_recognizer_cfg(fname: str) -> Config:
    """The config `configs/recognition/FNAME`. See `get_cfg`."""
    return get_cfg("recognition", fname, _caller())


def get_audio_recognizer_cfg(fname: str) -> Config:
    """The config `configs/recognition_audio/FNAME`. See `get_cfg`."""
    return get_cfg("recognition_audio", fname, _caller())


def get_detector_cfg(fname: str) -> Config:
    """The config `configs/detection/FNAME`. See `get_cfg`."""
    return get_cfg("detection", fname, _caller())


def get_localizer_cfg(fname: str) -> Config:
    """The config `configs/localization/FNAME`. See `get_cfg`."""
    return get_cfg("localization", fname, _caller())


def get_skeletongcn_cfg(fname: str) -> Config:
    """The config `configs/skeleton/FNAME`. See `get_cfg`."""
    return get_cfg("skeleton", fname, _caller())


def get_similarity_cfg(fname: str) -> Config:
    """The config `configs/retrieval/FNAME`. See `get_cfg`."""
    return get_cfg("retrieval", fname, _caller())


def get_cfg(config_type: str, fname: str, caller: str | None = None) -> Config:
    """A config of MMAction2's, to be changed at will.

    Args:
        config_type: folder below `configs/`.
        fname: path in it.
        caller: file of the code that asks.

    Raises:
        ConfigError: neither the working folder and those above it, nor those above `caller`, nor an
            installed MMAction2 has that file.
    """
    for folder in _folders(caller or _caller()):
        file = folder / config_type / fname
        if file.is_file():
            return Config.fromfile(file)
    raise ConfigError(
        f"no config {config_type}/{fname}: run in the folder that holds MMAction2's configs/, or install its wheel"
    )


def _folders(caller: str) -> Iterator[Path]:
    for place in (Path.cwd(), Path(caller).resolve().parent):
        yield from (folder / "configs" for folder in (place, *place.parents))
    yield from (Path(entry, "mmaction", ".mim", "configs") for entry in sys.path)


def _caller() -> str:
    """File of the code that called the function that calls this one."""
    frame = inspect.currentframe()
    frame = frame.f_back if frame else None
    frame = frame.f_back if frame else None
    return frame.f_code.co_filename if frame else ""
