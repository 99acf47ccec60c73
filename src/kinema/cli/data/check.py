"""`kinema data check`: which videos cannot be read to their end?"""

import functools
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from kinema.cli.data.sources import find_sources
from kinema.cli.data.workers import Failure, run_isolated
from kinema.cli.options import Json
from kinema.cli.output import print_json, print_line, print_table
from kinema.cli.stopping import stopped_with
from kinema.cores import available_cores
from kinema.errors import VideoError
from kinema.files import write_text
from kinema.progress import ProgressBar

_GOOD_FRAMES = re.compile(r"(?:(?P<count>\d+) are|none is) good$")

# A file gets this long, and so much longer for each of its megabytes: a small one that takes an
# hour is a trap.
_TIMEOUT_SECONDS, _TIMEOUT_SECONDS_PER_MEGABYTE = 300.0, 5.0

DataWorkers = Annotated[
    int | None, typer.Option("--workers", help="Processes that read videos; default: one a core.", min=1)
]
Timeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="Give up on a video that takes longer than this. [default: 300, and 5 for each megabyte]",
        min=0.001,
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Problem:
    """A video that cannot be used as it is.

    Attributes:
        path: the file.
        problem: what is wrong with it.
        num_good: frames that can be decoded; None when that is not known.
        num_frames: frames that there should be; None when that is not known.
    """

    path: str
    problem: str
    num_good: int | None = None
    num_frames: int | None = None


def check(
    source: Annotated[
        Path,
        typer.Argument(
            help="A video, a folder (with all below it), or a list of 'path label' lines.", metavar="PATH|LIST"
        ),
    ],
    fast: Annotated[
        bool, typer.Option("--fast", help="Read packets only: finds files that cannot be opened or break off.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write the paths of the bad files here, one a line.")] = None,
    workers: DataWorkers = None,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Decode every frame of every video and list the bad ones; the exit status is 1 when there are any."""
    from kinema.datasets.annotations.splits import listable  # brings torch with it

    paths = find_sources(source).paths
    with stopped_with("stopped before all videos were checked"):
        limit = timeout or usual_timeout
        problems = find_problems(paths, fast=fast, num_workers=workers or available_cores(), timeout_seconds=limit)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_text(
            out, "".join(f"{listable(problem.path)}\n" for problem in problems), errors="surrogateescape", newline="\n"
        )
    if as_json:
        print_json({"videos": len(paths), "fast": fast, "problems": [asdict(problem) for problem in problems]})
    else:
        if problems:
            rows = [[problem.path, problem.problem, _good_of_all(problem)] for problem in problems]
            print_table("", ["file", "problem", "good frames"], rows)
        how = "packets read, frames not decoded" if fast else "every frame decoded"
        print_line(f"{len(problems)} of {len(paths)} videos have problems ({how})")
    if problems:
        raise typer.Exit(1)


def find_problems(
    paths: list[Path],
    *,
    fast: bool,
    num_workers: int,
    timeout_seconds: float | Callable[[Path], float] | None = None,
) -> list[Problem]:
    """Check videos in other processes; what crashes or hangs there becomes a problem of its file.

    Args:
        paths: the files.
        fast: read packets only.
        num_workers: processes.
        timeout_seconds: limit for one file, or what gives it.

    Returns:
        The problems, in the order of the files.
    """
    problems: dict[Path, Problem] = {}
    bar = ProgressBar(len(paths))
    try:
        one_file = functools.partial(problem_of, fast=fast)
        for outcome in run_isolated(one_file, paths, num_workers=num_workers, timeout_seconds=timeout_seconds):
            if isinstance(outcome.result, Failure):
                problems[outcome.task] = Problem(str(outcome.task), outcome.result.reason)
            elif outcome.result is not None:
                problems[outcome.task] = outcome.result
            bar.update()
    finally:
        bar.close()
    return [problems[path] for path in paths if path in problems]


def usual_timeout(path: Path) -> float:
    """Seconds for one file when nobody says."""
    try:
        return _TIMEOUT_SECONDS + _TIMEOUT_SECONDS_PER_MEGABYTE * path.stat().st_size / 1e6
    except OSError:
        return _TIMEOUT_SECONDS


def problem_of(path: Path, *, fast: bool) -> Problem | None:
    """What is wrong with one video; None when nothing is."""
    from kinema.video import VideoReader
    from kinema.video.truncation import breaks_off

    num_frames = None
    try:
        with VideoReader(path) as reader:
            num_frames = len(reader)
            if fast and reader.index.num_missing:
                num_good = num_frames - reader.index.num_missing
                return Problem(str(path), "the file breaks off", num_good, num_frames)
            damage = None if fast else reader.find_damage()
        reason = breaks_off(path) if damage is None else None
        if reason is not None:
            return Problem(str(path), f"the file breaks off: {reason}", num_frames)
    except VideoError as error:
        damage = error
    if damage is None:
        return None
    return Problem(str(path), str(damage).removeprefix(f"{path}: "), _num_good(damage), num_frames)


def _num_good(damage: VideoError) -> int | None:
    """Of the frames, as the error's last words have it."""
    match = _GOOD_FRAMES.search(str(damage))
    if match is None:
        return None
    return 0 if match["count"] is None else int(match["count"])


def _good_of_all(problem: Problem) -> str:
    if problem.num_frames is None:
        return "" if problem.num_good is None else str(problem.num_good)
    return f"{'?' if problem.num_good is None else problem.num_good} of {problem.num_frames}"
