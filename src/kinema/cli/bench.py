"""`kinema bench`: how fast this machine does a run's work, and what to change."""

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinema.cli.config_or_clips import DEFAULT_MODEL, read_config
from kinema.cli.options import Json
from kinema.cli.output import print_json, print_table
from kinema.cores import available_cores
from kinema.errors import ConfigError
from kinema.printable import plural

if TYPE_CHECKING:
    from kinema.datasets.inspection.loader_profile import EpochProfile, LoaderProfile

bench = typer.Typer(no_args_is_help=True, help="Measure how fast clips are read, and say what to change.")

logger = logging.getLogger("kinema")

_BAR_WIDTH = 30  # characters of a bar for all of the time


@bench.callback()
def _bench() -> None:
    """Measure how fast clips are read, and say what to change."""


@bench.command()
def data(
    source: Annotated[
        Path,
        typer.Argument(
            help="What `kinema train` takes: clips (a list, a folder) or a config file.", metavar="CONFIG|FOLDER|LIST"
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Read clips as this model of `kinema models` wants them.", show_default=DEFAULT_MODEL),
    ] = None,
    clips: Annotated[int, typer.Option(help="Clips an epoch, at most.", min=1)] = 256,
    epochs: Annotated[
        int, typer.Option(help="Passes over them; the first may be slower, for files come from the disk.", min=1)
    ] = 2,
    workers: Annotated[
        int | None, typer.Option(help="Processes that read clips; default: what the training would use.", min=0)
    ] = None,
    sweep: Annotated[bool, typer.Option("--sweep", help="Also try 0, 1, 2, ... workers, up to the cores.")] = False,
    as_json: Json = False,
) -> None:
    """Measure the loading of training clips: clips a second, where the time goes, what to change."""
    from kinema.datasets import build_dataloader
    from kinema.datasets.inspection.loader_advice import advise
    from kinema.logs import show_on_console

    show_on_console()
    config = read_config(source, model=model)
    if not config.get("train_dataloader"):
        raise ConfigError(f"{source}: has no 'train_dataloader' to measure")
    seed = (config.get("randomness") or {}).get("seed") or 0
    loader = build_dataloader(config["train_dataloader"], seed=seed)
    cores = available_cores()
    profile = _measure(loader, clips, epochs, workers)
    rates = {}
    if sweep:
        for number in worker_counts(cores):
            logger.info("trying %s", plural(number, "worker"))
            tried = _measure(loader, clips, epochs, number)
            rates[number] = tried.epochs[-1].clips_per_second
    advice = advise(profile, num_cores=cores, rates=rates)
    if as_json:
        print_json(_report(source, profile, cores, rates, advice))
    else:
        _print_profile(source, profile, cores)
        _print_sweep(rates)
        _print_advice(advice)


def _measure(loader: Any, clips: int, epochs: int, workers: int | None) -> "LoaderProfile":
    from kinema.datasets.inspection.loader_profile import profile_loader
    from kinema.progress import ProgressBar

    bar = ProgressBar(min(clips, len(loader.dataset)) * epochs)
    try:
        return profile_loader(loader, num_clips=clips, epochs=epochs, num_workers=workers, on_batch=bar.update)
    finally:
        bar.close()


def worker_counts(num_cores: int) -> list[int]:
    """Numbers of workers to try: 0, 1, 2, 3, 4, then twice as many each time, up to the cores."""
    counts = [*range(min(num_cores, 4) + 1)]
    while counts[-1] < num_cores:
        counts.append(min(2 * counts[-1], num_cores))
    return counts


def _print_profile(source: Path, profile: "LoaderProfile", cores: int) -> None:
    from kinema.datasets.inspection.loader_advice import differs_when_cold

    last = profile.epochs[-1]
    is_cold = differs_when_cold(profile)
    rows = [
        ["clips", f"{last.num_clips} an epoch" + (f", {len(profile.broken)} broken" if profile.broken else "")],
        ["speed", _speed(profile, is_cold)],
        ["workers", f"{profile.num_workers or 'none'} on {plural(cores, 'core')}, batches of {profile.batch_size}"],
        ["start", f"{profile.start_seconds:.2f} s until the first clip is begun"],
    ]
    facts = profile.frames
    if facts is not None:
        rows.append(
            [
                "frames",
                f"{facts.num_wanted:.0f} a clip, for which {facts.num_walked:.0f} are decoded; short side "
                f"{facts.decoded_short_side:.0f} pixels, used at {facts.used_short_side:.0f}",
            ]
        )
    print_table(f"Reading the training clips of {source}", ["", ""], rows)
    _print_stages(profile, is_cold)


def _speed(profile: "LoaderProfile", is_cold: bool) -> str:
    first, last = profile.epochs[0], profile.epochs[-1]
    speed = f"{last.clips_per_second:.1f} clips/s"
    return f"{speed} (first epoch: {first.clips_per_second:.1f})" if is_cold else speed


def _print_stages(profile: "LoaderProfile", is_cold: bool) -> None:
    from kinema.datasets.inspection.loader_advice import share_of

    last = profile.epochs[-1]
    first = {stage.name: stage.milliseconds for stage in profile.epochs[0].stages}
    columns = ["step", "ms a clip", *(["first epoch"] if is_cold else []), "share", "", "CPU"]
    rows = []
    for stage in last.stages:
        what = f" ({stage.kind})" if stage.kind in ("open", "decode") else ""
        cold = [f"{first.get(stage.name, 0.0):.2f}"] if is_cold else []
        share = share_of(stage, last)
        rows.append(
            [
                *(stage.name + what, f"{stage.milliseconds:.2f}", *cold, f"{share:.0%}", bar(share)),
                f"{stage.cpu_share:.0%}" if share >= 0.005 else "",  # of less time it is noise
            ]
        )
    cold = [f"{profile.epochs[0].milliseconds:.2f}"] if is_cold else []
    rows.append(["all", f"{last.milliseconds:.2f}", *cold, "100%", "", _cpu(last)])
    print_table("Where a worker's time goes", columns, rows)


def _cpu(epoch: "EpochProfile") -> str:
    busy = sum(stage.milliseconds * stage.cpu_share for stage in epoch.stages)
    return f"{busy / epoch.milliseconds:.0%}" if epoch.milliseconds else "0%"


def bar(share: float) -> str:
    """A bar of blocks for a share in [0, 1], in eighths of a character."""
    eighths = round(share * _BAR_WIDTH * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _print_sweep(rates: dict[int, float]) -> None:
    if rates:
        most = max(rates.values()) or 1.0
        rows = [[str(number), f"{rate:.1f}", bar(rate / most)] for number, rate in rates.items()]
        print_table("How many workers", ["workers", "clips/s", ""], rows)


def _print_advice(advice: list[str]) -> None:
    rows = [[f"{number}.", sentence] for number, sentence in enumerate(advice, start=1)]
    print_table("What to change", ["", ""], rows or [["", "Nothing stands out: the clips are read well."]])


def _report(
    source: Path, profile: "LoaderProfile", cores: int, rates: dict[int, float], advice: list[str]
) -> dict[str, Any]:
    report = {"data": str(source), "cores": cores, **asdict(profile)}
    for entry, epoch in zip(report["epochs"], profile.epochs, strict=True):
        entry["clips_per_second"] = epoch.clips_per_second
        entry["milliseconds"] = epoch.milliseconds
    report["sweep"] = [{"workers": number, "clips_per_second": rate} for number, rate in rates.items()]
    report["advice"] = advice
    return report
