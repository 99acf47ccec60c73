"""Videos cut, joined and resized by the program `ffmpeg`: what `mmcv.video` has of that."""

import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinema.errors import VideoError


def _run(arguments: Sequence[str], out_file: str | Path, print_cmd: bool) -> None:
    program = shutil.which("ffmpeg")
    if program is None:
        raise VideoError("the program ffmpeg is not installed, which cuts, joins and resizes videos here")
    command = [program, "-y", *arguments, str(out_file)]
    if print_cmd:
        sys.stdout.write(shlex.join(command) + "\n")
    result = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    if result.returncode:
        raise VideoError(f"{out_file}: ffmpeg failed with status {result.returncode}: {shlex.join(command)}")


def _options(values: dict[str, Any]) -> list[str]:
    """Keywords as ffmpeg's options: True is an option without a value, False and None none at all."""
    options = []
    for name, value in values.items():
        if value is None or value is False:
            continue
        options.append("-loglevel" if name == "log_level" else f"-{name}")
        if value is not True:
            options.append(str(value))
    return options


def convert_video(
    in_file: str | Path, out_file: str | Path, print_cmd: bool = False, pre_options: str = "", **kwargs: Any
) -> None:
    """Convert a video by `ffmpeg PRE_OPTIONS -i IN_FILE OPTIONS OUT_FILE`; an old `out_file` is replaced.

    Args:
        in_file: the video.
        out_file: where to.
        print_cmd: print the command.
        pre_options: options before the input, as in a shell.
        kwargs: options: `vcodec="mpeg4"` is `-vcodec mpeg4`, `an=True` is `-an`, `log_level` is
            `-loglevel`.

    Raises:
        VideoError: ffmpeg is not installed, or failed.
    """
    _run([*shlex.split(pre_options), "-i", str(in_file), *_options(kwargs)], out_file, print_cmd)


def resize_video(
    in_file: str | Path,
    out_file: str | Path,
    size: tuple[int, int] | None = None,
    ratio: float | tuple[float, float] | None = None,
    keep_ar: bool = False,
    log_level: str = "info",
    print_cmd: bool = False,
) -> None:
    """Resize a video.

    Args:
        in_file: the video.
        out_file: where to.
        size: (width, height) wanted; or
        ratio: factor of both, or of width and height.
        keep_ar: keep the shape, so that the video fits into `size`; without effect on `ratio`.
        log_level: of ffmpeg.
        print_cmd: print the command.

    Raises:
        ValueError: not just one of `size` and `ratio`.
        VideoError: ffmpeg is not installed, or failed.
    """
    if (size is None) == (ratio is None):
        raise ValueError(f"give either size or ratio, got {size=}, {ratio=}")
    if size is not None:
        width, height = map(str, size)
    else:
        across, down = ratio if isinstance(ratio, tuple) else (ratio, ratio)
        width, height = f"trunc(iw*{across})", f"trunc(ih*{down})"
    shape = ":force_original_aspect_ratio=decrease" if keep_ar and size is not None else ""
    convert_video(in_file, out_file, print_cmd, vf=f"scale={width}:{height}{shape}", log_level=log_level)


def cut_video(
    in_file: str | Path,
    out_file: str | Path,
    start: float | None = None,
    end: float | None = None,
    vcodec: str | None = None,
    acodec: str | None = None,
    log_level: str = "info",
    print_cmd: bool = False,
) -> None:
    """Cut a part out of a video.

    Args:
        in_file: the video.
        out_file: where to.
        start: in seconds; None: from the start.
        end: in seconds; None: to the end.
        vcodec: of the pictures; None keeps them as they are, cut at key frames.
        acodec: of the sound; None keeps it as it is.
        log_level: of ffmpeg.
        print_cmd: print the command.

    Raises:
        VideoError: ffmpeg is not installed, or failed.
    """
    length = None if end is None else end - (start or 0)
    codecs = {"vcodec": vcodec or "copy", "acodec": acodec or "copy"}
    before = "" if start is None else f"-ss {start}"
    convert_video(in_file, out_file, print_cmd, before, **codecs, t=length, log_level=log_level)


def concat_video(
    video_list: Sequence[str | Path],
    out_file: str | Path,
    vcodec: str | None = None,
    acodec: str | None = None,
    log_level: str = "info",
    print_cmd: bool = False,
) -> None:
    """Join videos of one kind.

    Args:
        video_list: the videos.
        out_file: where to.
        vcodec: of the pictures; None keeps them as they are.
        acodec: of the sound; None keeps it as it is.
        log_level: of ffmpeg.
        print_cmd: print the command.

    Raises:
        VideoError: ffmpeg is not installed, or failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder) / "videos.txt"
        quoted = (str(Path(video).resolve()).replace("'", r"'\''") for video in video_list)
        names.write_text("".join(f"file '{video}'\n" for video in quoted), encoding="utf-8")
        codecs = {"vcodec": vcodec or "copy", "acodec": acodec or "copy"}
        convert_video(names, out_file, print_cmd, "-f concat -safe 0", **codecs, log_level=log_level)
