"""`kinema data prepare`: re-encode a data set so that training reads it fast."""

import contextlib
import dataclasses
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinema.cli.data.check import DataWorkers, Timeout, usual_timeout
from kinema.cli.data.ledger import Entry, Ledger
from kinema.cli.data.sources import Sources, absolute_path, find_sources
from kinema.cli.data.workers import Failure, run_isolated
from kinema.cli.options import Json
from kinema.cli.output import print_json, print_line, print_table
from kinema.cli.stopping import stopped_with
from kinema.cores import available_cores
from kinema.errors import ConfigError, VideoError
from kinema.files import write_text
from kinema.progress import ProgressBar

if TYPE_CHECKING:
    from kinema.video.transcode import TranscodeSettings

_NUM_MEASURED = 3
# Goes up when the encoder's own settings change, so that files of before are made anew.
_ENCODING_TAKES = 5  # times as long as decoding, for the limit of time
_ENCODING = 1


@dataclass(frozen=True)
class Job:
    """One video to prepare; `source` is absolute, `target` relative to `folder`."""

    source: Path
    folder: Path
    target: str
    settings: "TranscodeSettings"


@dataclass(frozen=True)
class Failed:
    """A video that could not be prepared, and why."""

    path: str
    problem: str


@dataclass(frozen=True)
class Gain:
    """CPU time of reading a random clip of 8 frames, 8 apart: means over a few videos."""

    num_videos: int
    seconds_before: float
    seconds_after: float

    @property
    def times_faster(self) -> float:
        """How many clips can be read now in the time of one before."""
        return self.seconds_before / max(self.seconds_after, 1e-9)


def prepare(
    source: Annotated[
        Path,
        typer.Argument(help="A folder of videos (with all below it), or a list of 'path label' lines.", metavar="SRC"),
    ],
    target: Annotated[Path, typer.Argument(help="Folder for the new videos and lists.", metavar="DST")],
    short_side: Annotated[
        int, typer.Option(help="Pixels of the shorter side; smaller videos keep theirs; 0: all do.", min=0)
    ] = 256,
    keyframe_interval: Annotated[int, typer.Option(help="Frames from one key frame to the next.", min=1)] = 16,
    fps: Annotated[
        float | None, typer.Option(help="Frames a second.", show_default="every frame is kept, with its time")
    ] = None,
    crf: Annotated[int, typer.Option(help="x264's rate factor: lower is better and larger.", min=0, max=51)] = 23,
    keep_good: Annotated[
        bool, typer.Option("--keep-good", help="Of a damaged video keep the frames that can be decoded.")
    ] = False,
    workers: DataWorkers = None,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Re-encode videos as small H.264 files whose frames at random places are cheap to read.

    The tree of folders stays, audio goes, rotation is baked in, and lists
    are written anew. A run that was stopped or killed resumes where it was;
    what is done is skipped. Videos that are cheap to read already keep
    their pictures bit for bit.
    """
    from kinema.video.transcode import TranscodeSettings

    settings = TranscodeSettings(short_side or None, keyframe_interval, fps, crf, keep_good)
    sources = find_sources(source)
    check_places(source, target, sources)
    _check_parts(sources, fps)
    with stopped_with("stopped; the same command resumes from here"), Ledger(target) as ledger:
        done, failed, num_skipped = prepare_sources(sources, ledger, settings, workers or available_cores(), timeout)
        lists = _write_lists(_lists_of(source, target, sources), target, done)
    gain = _measured_gain(list(done.values()), target)
    if as_json:
        print_json(_json_value(done, failed, num_skipped, lists, gain))
    else:
        _print_summary(done, failed, num_skipped, lists, gain)
    if failed:
        raise typer.Exit(1)


# ---- the work


def check_places(source: Path, target: Path, sources: Sources) -> None:
    """New files must not come to lie among the originals, where the next run would take them for some.

    Raises:
        ConfigError: they would.
    """
    folder = target.resolve()
    if source.is_dir() and folder.is_relative_to(source.resolve()):
        raise ConfigError(f"{target}: lies in the folder of the originals, {source}: choose a folder outside of it")
    if any(path.resolve().is_relative_to(folder) for path in sources.paths):
        raise ConfigError(f"{target}: the originals lie in this folder: choose another one for the new videos")


def _check_parts(sources: Sources, fps: float | None) -> None:
    """Numbers of frames mean others at another rate."""
    annotations = sources.annotations
    if fps is None or annotations is None or annotations.clip_starts is None:
        return
    if annotations.clip_unit == "frames":
        raise ConfigError(
            f"{annotations.source}: its clips are parts of videos by frame number: prepare it without --fps"
        )


def prepare_sources(
    sources: Sources, ledger: Ledger, settings: "TranscodeSettings", num_workers: int, timeout_seconds: float | None
) -> tuple[dict[Path, Entry], list[Failed], int]:
    """Prepare what is not done yet.

    Args:
        sources: the videos.
        ledger: of the folder for the new ones, entered.
        settings: how to encode.
        num_workers: processes.
        timeout_seconds: limit for one video; None: by its size.

    Returns:
        Entries by path of the source, failures, and how many were done before.
    """
    keep_good = settings.keep_good
    key = {name: value for name, value in asdict(settings).items() if name != "keep_good"} | {"encoding": _ENCODING}
    done: dict[Path, Entry] = {}
    jobs: dict[Job, Path] = {}
    for path, target in _targets(sources, ledger).items():
        absolute = absolute_path(path)
        entry = ledger.find(absolute, key, allow_lost=keep_good)
        if entry is not None and entry.target == target:
            done[path] = entry
        else:
            jobs[Job(absolute, ledger.folder, target, settings)] = path
    num_skipped = len(done)
    failures: dict[Path, Failed] = {}
    bar = ProgressBar(len(jobs), start=bool(jobs))
    try:
        limit = timeout_seconds or (lambda job: _ENCODING_TAKES * usual_timeout(job.source))
        outcomes = run_isolated(prepare_one, list(jobs), num_workers=num_workers, timeout_seconds=limit)
        with contextlib.closing(outcomes):
            for outcome in outcomes:
                path = jobs[outcome.task]
                if isinstance(outcome.result, Failure):
                    failures[path] = Failed(str(path), outcome.result.reason)
                else:
                    done[path] = Entry(**outcome.result, settings=key)
                    ledger.add(done[path])
                bar.update()
    finally:
        bar.close()
    failed = [failures[path] for path in sources.paths if path in failures]
    return {path: done[path] for path in sources.paths if path in done}, failed, num_skipped


def _targets(sources: Sources, ledger: Ledger) -> dict[Path, str]:
    """Where the new file of each source goes.

    Of those that differ in their suffix only, an mp4 keeps its name.
    """
    names = dict(zip(sources.paths, sources.names, strict=True))
    targets: dict[Path, str] = {}
    taken: set[str] = set()
    for path in sorted(names, key=lambda path: path.suffix.lower() != ".mp4"):
        targets[path] = ledger.target_of(absolute_path(path), names[path], taken)
        taken.add(targets[path])
    return {path: targets[path] for path in names}


def prepare_one(job: Job) -> dict[str, Any] | Failure:
    """Prepare one video: the fields of its ledger entry but the settings, or the reason why not."""
    from kinema.video.transcode import transcode

    target = job.folder / job.target
    try:
        before = job.source.stat()  # of what is read now: a change meanwhile makes it be done again
        result = transcode(job.source, target, job.settings)
    except FileNotFoundError:
        return Failure("no such file")
    except VideoError as error:
        return Failure(str(error).removeprefix(f"{job.source}: "))
    return dict(
        source=str(job.source),
        source_bytes=before.st_size,
        source_mtime_ns=before.st_mtime_ns,
        target=job.target,
        target_bytes=target.stat().st_size,
        num_frames=result.num_frames,
        num_lost=result.num_lost,
        is_copy=result.is_copy,
    )


# ---- lists


def _lists_of(source: Path, target: Path, sources: Sources) -> list[Sources]:
    """The annotations that name the videos: the source itself, or those that lie in it under the usual names."""
    from kinema.datasets.annotations.class_names import read_class_names
    from kinema.datasets.annotations.layout import VAL_NAMES, entry_of, training_part

    if sources.annotations is not None:
        names = read_class_names(target / "classes.txt")  # the training list's, when it was prepared before
        return [find_sources(source, class_names=names) if names else sources]
    train = training_part(source) if source.is_dir() else None
    if train is None or not train.is_file():
        return []
    all_sources = [find_sources(train)]
    assert all_sources[0].annotations is not None
    for name in VAL_NAMES:
        other = entry_of(source, name + train.suffix)
        if other is not None:
            all_sources.append(find_sources(other, class_names=all_sources[0].annotations.class_names))
    return all_sources


def _write_lists(lists: list[Sources], target: Path, done: dict[Path, Entry]) -> list[Path]:
    """Write lists of the new videos with the same labels; a video that failed is left out."""
    from kinema.datasets.annotations import write_list
    from kinema.datasets.annotations.class_names import write_class_names
    from kinema.datasets.annotations.splits import list_line
    from kinema.datasets.storage.columns import TextColumn

    targets = {absolute_path(path): entry.target for path, entry in done.items()}
    written = []
    for source_list in lists:
        assert source_list.annotations is not None
        new_paths = [targets.get(absolute_path(path)) for path in source_list.listed]
        kept = [place for place, path in enumerate(new_paths) if path is not None]
        annotations = dataclasses.replace(
            source_list.annotations.take(kept),
            paths=TextColumn.from_texts(path for path in new_paths if path is not None),
        )
        file = target / source_list.annotations.source.with_suffix(".txt").name
        if annotations.clip_starts is None:
            lines = (list_line(path, *labels) for path, labels in annotations)
            write_text(file, "".join(lines), errors="surrogateescape", newline="\n")
        else:
            file = write_list(file, annotations, target)
        written.append(file)
        if annotations.class_names:
            write_class_names(target / "classes.txt", annotations.class_names)
    return written


# ---- what it was good for


def _measured_gain(entries: list[Entry], folder: Path) -> Gain | None:
    """Read random clips of a few originals and of what became of them."""
    from kinema.video.transcode import access_seconds

    encoded = [entry for entry in entries if not entry.is_copy and not entry.num_lost]
    some = encoded[:: max(len(encoded) // _NUM_MEASURED, 1)][:_NUM_MEASURED]
    before = after = 0.0
    for entry in some:
        before += access_seconds(Path(entry.source))
        after += access_seconds(folder / entry.target)
    return Gain(len(some), before / len(some), after / len(some)) if some else None


def _json_value(
    done: dict[Path, Entry], failed: list[Failed], num_skipped: int, lists: list[Path], gain: Gain | None
) -> dict[str, Any]:
    return {
        "prepared": len(done) - num_skipped,
        "skipped": num_skipped,
        "copied": sum(entry.is_copy for entry in done.values()),
        "failed": [asdict(problem) for problem in failed],
        "damaged": [
            {"path": str(path), "frames": entry.num_frames, "lost": entry.num_lost}
            for path, entry in done.items()
            if entry.num_lost
        ],
        "lists": [str(path) for path in lists],
        "bytes_before": sum(entry.source_bytes for entry in done.values()),
        "bytes_after": sum(entry.target_bytes for entry in done.values()),
        "gain": None if gain is None else asdict(gain) | {"times_faster": gain.times_faster},
    }


def _print_summary(
    done: dict[Path, Entry], failed: list[Failed], num_skipped: int, lists: list[Path], gain: Gain | None
) -> None:
    if failed:
        print_table("Failed", ["file", "problem"], [[problem.path, problem.problem] for problem in failed])
    damaged = [
        [str(path), f"{entry.num_frames} kept, {entry.num_lost} lost"] for path, entry in done.items() if entry.num_lost
    ]
    if damaged:
        print_table("Damaged, good frames kept", ["file", "frames"], damaged)
    print_line(f"videos prepared: {len(done) - num_skipped}, done before: {num_skipped}, failed: {len(failed)}")
    num_copied = sum(entry.is_copy for entry in done.values())
    if num_copied:
        print_line(f"cheap to read already, pictures kept as they are: {num_copied}")
    before, after = (
        sum(result.source_bytes for result in done.values()),
        sum(result.target_bytes for result in done.values()),
    )
    print_line(f"size: {_megabytes(before)} before, {_megabytes(after)} after")
    if gain is not None:
        print_line(
            f"a random clip of 8 frames, 8 apart: {1000 * gain.seconds_before:.1f} ms of CPU time before, "
            f"{1000 * gain.seconds_after:.1f} ms after, {gain.times_faster:.1f} times faster "
            f"(measured on {gain.num_videos} of the re-encoded videos)"
        )
    for path in lists:
        print_line(f"new list: {shlex.quote(str(path))}{' (without the failed videos)' if failed else ''}")


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB"
