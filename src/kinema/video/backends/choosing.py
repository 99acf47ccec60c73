"""A backend by its name."""

import re
from collections.abc import Mapping
from pathlib import Path

from kinema.video.backends.base import Backend
from kinema.video.backends.frame_folder import FrameFolder
from kinema.video.backends.libraries import LIBRARIES, reason_for_absence
from kinema.video.backends.locked import LockedBackend
from kinema.video.backends.pyav import PyAVBackend
from kinema.video.index import PacketIndex
from kinema.video.limits import VideoLimits
from kinema.video.source import VideoSource, source_name

# What VideoReader(backend=...) takes; torchcodec's devices are those of torch.
NAMES = ("auto", "pyav", "torchcodec", "torchcodec:cuda", "decord", "opencv", "frames")

_TORCHCODEC = re.compile(r"torchcodec(?::(cpu|cuda(?::\d+)?))?")


def installed_backends() -> dict[str, str | None]:
    """Try to load every decoding library.

    Returns:
        Name of the library -> None when it loads, else the reason why it does not, in one line.
    """
    return {name: reason_for_absence(name) for name in LIBRARIES}


def open_backend(
    name: str, source: VideoSource, *, num_threads: int = 1, rotate: bool = True, limits: VideoLimits | None = None
) -> Backend:
    """Open a video with one of the libraries. Threads may share what this returns: they take turns.

    Args:
        name: "pyav", "torchcodec", the same with a device ("torchcodec:cuda", "torchcodec:cuda:1"),
            "decord", "opencv", or "frames" for a folder of RGB frames.
        source: what VideoReader takes; a folder for "frames".
        num_threads: decoder threads. Does not change frames.
        rotate: turn the frames as the file's rotation metadata says.
        limits: what the video may ask for; None for `default_limits()`.

    Raises:
        ValueError: there is no backend of this name.
        MissingDependencyError: its library does not load, or there is no CUDA device.
        VideoError: there is no such file, or it is no video.
        TypeError: `source` is nothing that can be read.
    """
    backend = make_backend(name, source, num_threads=num_threads, rotate=rotate, limits=limits)
    return backend if isinstance(backend, FrameFolder) else LockedBackend(backend)  # a folder is not opened


def refuse_exact_options(name: str, options: Mapping[str, object]) -> None:
    """Say no to what only an `ExactBackend` offers.

    Args:
        name: of a backend.
        options: what the caller asks for, by the words of the message; None and False ask for
            nothing.

    Raises:
        ValueError: the backend is no `ExactBackend` and something is asked for.
    """
    refused = [option for option, value in options.items() if value is not None and value is not False]
    if refused and name != "pyav":
        raise ValueError(f"the video backend {name!r} has no {' and no '.join(refused)}: use backend='pyav'")


def make_backend(
    name: str,
    source: VideoSource,
    *,
    num_threads: int = 1,
    rotate: bool = True,
    limits: VideoLimits | None = None,
    index: PacketIndex | None = None,
    short_side: int | None = None,
    size: tuple[int, int] | None = None,
) -> Backend:
    """`open_backend` for callers that lock it themselves; the last three are for an `ExactBackend`."""
    refuse_exact_options(name, {"index": index, "short_side": short_side, "size": size})
    if name == "pyav":
        return PyAVBackend(
            source,
            num_threads=num_threads,
            rotate=rotate,
            limits=limits,
            index=index,
            short_side=short_side,
            size=size,
        )
    if torchcodec := _TORCHCODEC.fullmatch(name):
        from kinema.video.backends.torchcodec import TorchcodecBackend

        return TorchcodecBackend(source, torchcodec[1] or "cpu", num_threads=num_threads, rotate=rotate, limits=limits)
    if name == "decord":
        from kinema.video.backends.decord import DecordBackend

        return DecordBackend(source, num_threads=num_threads, rotate=rotate, limits=limits)
    if name == "opencv":
        from kinema.video.backends.opencv import OpenCVBackend

        return OpenCVBackend(source, num_threads=num_threads, rotate=rotate, limits=limits)
    if name == "frames":
        # Image files have no rotation, or OpenCV applies it, and are read one by one.
        return FrameFolder(source if isinstance(source, (str, Path)) else source_name(source), limits=limits)
    raise ValueError(f"there is no video backend {name!r}: use one of {', '.join(NAMES)}")
