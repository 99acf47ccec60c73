"""`kinema data browse`: what do the clips look like, before and after the pipeline?"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kinema.cli.config_or_clips import DEFAULT_MODEL, is_config, read_config
from kinema.cli.options import Json
from kinema.cli.output import print_json, print_line
from kinema.errors import ConfigError, VideoError

if TYPE_CHECKING:
    from kinema.datasets.inspection.sample_trace import WatchedSample
    from kinema.report import SheetClip, Strip, Version

logger = logging.getLogger("kinema")

SHOWN_FRAMES = 8  # of a strip
SHOWN_VIEWS = 6  # of a test pipeline


def browse(
    source: Annotated[
        Path,
        typer.Argument(
            help="What `kinema train` takes: clips (a list, a folder) or a config file.", metavar="CONFIG|FOLDER|LIST"
        ),
    ],
    part: Annotated[
        Literal["train", "val", "test"], typer.Option("--split", help="Whose clips and pipeline; test: of a config.")
    ] = "train",
    clips: Annotated[int, typer.Option(help="Clips to show, as many of each class.", min=1)] = 24,
    repeats: Annotated[
        int, typer.Option(help="Epochs of each clip to show: how the augmentation changes it.", min=1)
    ] = 3,
    out: Annotated[Path, typer.Option(help="The page to write.", metavar="HTML")] = Path("browse.html"),
    model: Annotated[
        str | None,
        typer.Option(help="Show clips as this model of `kinema models` wants them.", show_default=DEFAULT_MODEL),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help=(
                "Of the choice of clips and of the augmentation; default: the config's, so that the page shows what a"
                " training sees."
            ),
            min=0,
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a contact sheet: clips as they are decoded, and what of them reaches the model."""
    from kinema.datasets.inspection.sample_trace import choose_samples, pipeline_of
    from kinema.logs import show_on_console
    from kinema.progress import ProgressBar
    from kinema.report import write_contact_sheet

    show_on_console()
    dataset, seed = _load_dataset(source, part, model, seed)
    indices = choose_samples(dataset, clips, seed)
    steps = pipeline_of(dataset)
    sheet = []
    bar = ProgressBar(len(indices))
    try:
        for index in indices:
            sheet.append(_show(dataset, index, steps, seed, repeats))
            bar.update()
    finally:
        bar.close()
    broken = [clip for clip in sheet if clip.error is not None]
    if len(broken) == len(sheet):
        raise VideoError(f"{source}: none of {len(sheet)} {part} clips can be shown; the first: {broken[0].error}")
    count = f"{len(sheet)} of {len(dataset)} {part} clips" + (f", {len(broken)} broken" if broken else "")
    write_contact_sheet(
        out,
        title=f"Clips of {source.resolve().name}",
        note=(
            f"{count}, seed {seed}. Above: frames as decoded, with their numbers. Below: what the pipeline gives the"
            " model. Point at a strip to see it move."
        ),
        steps=[" ".join(repr(step).split()) for step in steps],
        clips=sheet,
    )
    if as_json:
        shown = [{"path": clip.name, "classes": list(clip.classes), "error": clip.error} for clip in sheet]
        print_json({"page": str(out), "clips": shown, "seed": seed, "bytes": out.stat().st_size})
    else:
        print_line(f"{out}: {count} ({out.stat().st_size / 1e6:.1f} MB)")


def _load_dataset(source: Path, part: str, model: str | None, seed: int | None) -> tuple[Any, int]:
    """The dataset with its list of samples, and the seed to use."""
    from kinema.registry import DATASETS

    if part == "test" and not is_config(source):
        raise ConfigError(f"{source}: --split test goes with a config; clips have train and val")
    config = read_config(source, model=model, **({} if is_config(source) else {"seed": seed or 0}))
    loader = config.get(f"{part}_dataloader")
    if not loader or not loader.get("dataset"):
        raise ConfigError(f"{source}: has no {part}_dataloader.dataset to show")
    dataset = DATASETS.build(loader["dataset"])
    if hasattr(dataset, "full_init"):
        dataset.full_init()
    of_config = (config.get("randomness") or {}).get("seed")
    return dataset, (of_config or 0) if seed is None else seed


def _show(dataset: Any, index: int, steps: Sequence[Any], seed: int, repeats: int) -> "SheetClip":
    """A clip of the sheet: the same sample in several epochs."""
    from kinema.datasets.inspection.sample_trace import watch_sample
    from kinema.report import SheetClip
    from kinema.report.strips import normalisation_of

    names = (getattr(dataset, "metainfo", None) or {}).get("classes") or ()
    versions: list[Version] = []
    facts, classes, name, error = "", [], "", None
    seen_frames: Any = None
    for epoch in range(repeats):
        seen = watch_sample(dataset, index, seed=seed, epoch=epoch, num_shown=SHOWN_FRAMES)
        facts, classes, name = _facts(seen), class_names(seen.label, names), _shown_path(seen.path) or f"sample {index}"
        error = error or seen.error
        if seen.error is not None:
            break
        try:
            new_versions = _versions(seen, f"epoch {epoch + 1}", seen_frames, normalisation_of(steps))
        except ValueError as problem:
            error = str(problem)
            break
        seen_frames = seen.frame_numbers
        versions += new_versions
    if len(versions) == repeats > 1 and all(_same(versions[0], version) for version in versions[1:]):
        versions = [replace(versions[0], title=f"epochs 1 to {repeats}, all the same")]
    return SheetClip(name, classes, facts, versions, error)


def _versions(seen: "WatchedSample", title: str, before: Any, normalised_by: tuple[Any, Any] | None) -> list["Version"]:
    """What a run of the pipeline made: one version, or several where it gives a list of samples."""
    from kinema.report import Strip, Version, model_views

    packed = seen.packed if isinstance(seen.packed, list | tuple) else [seen.packed]
    same_frames = before is not None and seen.frame_numbers is not None and list(before) == list(seen.frame_numbers)
    strip = None if not seen.frames or same_frames else Strip(seen.frames, "decoded", _numbers(seen))
    versions = []
    for number, sample in enumerate(packed):
        if not isinstance(sample, dict) or "inputs" not in sample:
            given = ", ".join(sample) if isinstance(sample, dict) else type(sample).__name__
            raise ValueError(f"the pipeline gives no 'inputs' to show, but {given}")
        views = model_views(sample["inputs"], num_decoded=seen.num_frames, normalised_by=normalised_by)
        shape = "x".join(map(str, views.shape))
        facts = [f"input {shape} {views.kind}", _some(seen), views.note]
        if seen.runs > 1:
            facts.append("the pipeline rejected the sample that was asked for: this one came in its place")
        part = f", sample {number + 1} of {len(packed)}" if len(packed) > 1 else ""
        versions.append(
            Version(
                title + part,
                " · ".join(filter(None, facts)),
                strip if number == 0 else None,
                _view_strips(seen, views.frames),
            )
        )
    return versions


def _view_strips(seen: "WatchedSample", views: Any) -> list["Strip"]:
    from kinema.datasets.inspection.sample_trace import evenly_spaced
    from kinema.report import Strip

    frames = evenly_spaced(views.shape[1], SHOWN_FRAMES)
    return [
        Strip(
            [views[view][frame] for frame in frames],
            "model" if len(views) == 1 else f"view {view + 1} of {len(views)}",
            _numbers_of_view(seen, views, view, frames),
        )
        for view in evenly_spaced(len(views), SHOWN_VIEWS)
    ]


def _same(first: "Version", other: "Version") -> bool:
    """Do two runs of the pipeline give the same pictures of the same frames?"""
    import numpy as np

    if other.before is not None and other.before.numbers:
        return False  # the decoded frames stand there again only where they are others
    first_frames, other_frames = (
        [frame for strip in version.after for frame in strip.frames] for version in (first, other)
    )
    return len(first_frames) == len(other_frames) and all(map(np.array_equal, first_frames, other_frames))


def _numbers(seen: "WatchedSample") -> list[int]:
    return [] if seen.frame_numbers is None else seen.frame_numbers[seen.places].tolist()


def _numbers_of_view(seen: "WatchedSample", views: Any, view: int, frames: Sequence[int]) -> list[int]:
    """Numbers of a view's frames, where it is one of several clips; of one clip they stand below the decoded frames.

    The views are those of the first crop, clip by clip, then those of the second, ...
    """
    num_views, clip_len = views.shape[:2]
    num_clips = seen.num_frames // clip_len
    if seen.frame_numbers is None or num_clips < 2 or seen.num_frames % clip_len or num_views % num_clips:
        return []
    own = seen.frame_numbers[view % num_clips * clip_len :]
    return [int(own[frame]) for frame in frames]


def _some(seen: "WatchedSample") -> str:
    return f"{len(seen.frames)} of {seen.num_frames} frames shown" if len(seen.frames) < seen.num_frames else ""


def _facts(seen: "WatchedSample") -> str:
    facts = [] if seen.total_frames is None else [f"{seen.total_frames} frames"]
    if seen.frames:
        facts.append(f"{seen.frames[0].shape[1]}x{seen.frames[0].shape[0]} pixels")
    if seen.label is not None:
        facts.append(f"label {_shown_label(seen.label)}")
    return ", ".join(facts)


def _shown_path(path: str) -> str:
    """Folder and name: enough to find it, short enough to read."""
    return str(Path(*Path(path).parts[-2:]))


def _shown_label(label: Any) -> str:
    indices = class_shares(label)
    return (
        ", ".join(str(label) if share == 1 else f"{label} ({share:.2g})" for label, share in indices.items()) or "none"
    )


def class_shares(label: Any) -> dict[int, float]:
    """A class index, several, or a row of N shares -> what share each class has; classes without any are left out."""
    import numpy as np

    array = np.asarray(label)
    if array.ndim and np.issubdtype(array.dtype, np.floating):
        return {int(place): float(array[place]) for place in np.flatnonzero(array)}
    return {int(label): 1.0 for label in array.reshape(-1) if label >= 0}


def class_names(label: Any, names: Sequence[str]) -> list[str]:
    """The names of a sample's classes; their indices where there are no names."""
    shares = {} if label is None else class_shares(label)
    shown = {label: names[label] if label < len(names) else f"class {label}" for label in shares}
    return [name if shares[label] == 1 else f"{name} {shares[label]:.2g}" for label, name in shown.items()]
