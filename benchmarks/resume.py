"""How long a run that resumes inside an epoch takes to its first step, against at the epoch's beginning.

The claim: at 90 % of an epoch at most 1.1 times as long as at 0 %, because nothing of what is done
is read again. A run is trained over 1.9 epochs; each round resumes it from its checkpoint at 1.0 and
from that at 1.9 in turn, and measures from the building of the runner to the end of the first step.

The same for the data alone: each round builds a new data loader and takes its first batch, in other
epochs, so that both sides read other clips each time. Beside it: a loader that reads what it leaves
out, as torch's does.

Run: python benchmarks/resume.py [FOLDER] [--rounds N] [--workers N]. FOLDER holds `train.txt`, a
list of clips in it or in its folder `train`, and `classes.txt`; default: ../shared/clips/labelled/surv_fight_mini,
where that is there, else 320 clips that are drawn for this.
"""

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from kinema.datasets import VideoDataset, build_dataloader, iterate_from, pseudo_collate
from kinema.datasets.synthetic import make_motion_dataset
from kinema.engine import Hook, Runner
from kinema.models import create_model

CLIPS = Path(__file__).parents[2] / "shared" / "clips" / "labelled" / "surv_fight_mini"
SEED, BATCH_SIZE = 0, 4
PIPELINE: list[Any] = [
    dict(type="OpenVideo"),
    dict(type="SampleFrames", clip_len=8, frame_interval=2, num_clips=1),
    dict(type="DecodeVideo"),
    dict(type="Resize", scale=(-1, 72)),
    dict(type="RandomResizedCrop"),
    dict(type="Resize", scale=(64, 64), keep_ratio=False),
    dict(type="FormatShape", input_format="NCTHW"),
    dict(type="PackActionInputs"),
]


def own_loader(dataset: VideoDataset, num_workers: int) -> DataLoader:
    """The loader that a config builds."""
    sampler = dict(type="DefaultSampler", shuffle=True)
    return build_dataloader(
        dict(dataset=dataset, batch_size=BATCH_SIZE, sampler=sampler, num_workers=num_workers), seed=SEED
    )


def torch_loader(dataset: VideoDataset, num_workers: int) -> DataLoader:
    """Torch's own."""
    sampler = own_loader(dataset, 0).sampler
    return DataLoader(dataset, BATCH_SIZE, sampler=sampler, num_workers=num_workers, collate_fn=pseudo_collate)


def first_batch_seconds(loader: DataLoader, epoch: int, batch: int) -> float:
    """Wall time to the first batch of a position."""
    started = time.perf_counter()
    batches = iterate_from(loader, epoch, batch)
    next(batches)
    return time.perf_counter() - started


def ratio_of(measure: Callable[[int, float], float], rounds: int) -> tuple[float, float, float]:
    """Medians of the seconds at 0 % and at 90 % of an epoch, measured in turn, and their ratio.

    Args:
        measure: from the number of a round and a share of the epoch to seconds.
        rounds: the first is left out.
    """
    seconds: dict[float, list[float]] = {0.0: [], 0.9: []}
    for turn in range(rounds + 1):
        for share in (0.0, 0.9) if turn % 2 else (0.9, 0.0):
            taken = measure(turn, share)
            if turn:
                seconds[share].append(taken)
    start, late = (statistics.median(values) for values in seconds.values())
    return start, late, late / start


# ---- the first step


class _FirstStepError(Exception):
    """The first step is done."""


class StopAfterOneStep(Hook):
    """Leave the training."""

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        raise _FirstStepError


def runner_of(work_dir: Path, loader: DataLoader, max_iters: int, **options: Any) -> Runner:
    """A training of a small network by steps."""
    classes = len(loader.dataset.metainfo["classes"])  # type: ignore[attr-defined]
    return Runner(
        create_model("compact3d", num_classes=classes),
        work_dir,
        loader,
        train_cfg=dict(max_iters=max_iters),
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01, momentum=0.9)),
        randomness=dict(seed=SEED),
        device="cpu",
        log_level="ERROR",
        **options,
    )


def first_step_ratio(folder: Path, build: Callable[[], DataLoader], rounds: int) -> tuple[float, float, float]:
    """See `ratio_of`; the run works in `folder`."""
    total = len(build())
    done = total + int(0.9 * total)
    checkpoints = dict(interval=total, by_epoch=False, max_keep_ckpts=-1)
    runner_of(folder / "run", build(), done, default_hooks=dict(checkpoint=checkpoints)).train()
    saved = {0.0: f"step_{total:08d}", 0.9: f"step_{done:08d}"}

    def measure(turn: int, share: float) -> float:
        started = time.perf_counter()
        origin = folder / "run" / "checkpoints" / saved[share]
        with suppress(_FirstStepError):
            runner_of(
                folder / str(share),
                build(),
                2 * total,
                load_from=origin,
                resume=True,
                custom_hooks=[StopAfterOneStep()],
            ).train()
        return time.perf_counter() - started

    return ratio_of(measure, rounds)


def main() -> None:
    """Print a line for each loader."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=CLIPS if CLIPS.is_dir() else None)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    logging.getLogger("kinema").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or make_motion_dataset(temporary, num_train=320, num_val=1).root
        first = (folder / "train.txt").read_text(encoding="utf-8").rpartition(" ")[0].partition(" ")[0]
        classes = dict(classes=(folder / "classes.txt").read_text(encoding="utf-8").split())
        root = folder if (folder / first).is_file() else folder / "train"
        dataset = VideoDataset(folder / "train.txt", PIPELINE, {"video": str(root)}, metainfo=classes)
        dataset.full_init()
        total = len(own_loader(dataset, 0))
        print(f"{folder if options.folder else 'drawn clips'}: {len(dataset)} clips, {total} batches of {BATCH_SIZE}")
        for num_workers in sorted({0, options.workers}):
            build_own = partial(own_loader, dataset, num_workers)
            start, late, ratio = first_step_ratio(Path(temporary) / f"{num_workers} workers", build_own, options.rounds)
            print(
                f"first step, {num_workers} workers:                  {1000 * start:7.1f} ms at 0 %, "
                f"{1000 * late:7.1f} ms at 90 %, ratio {ratio:5.2f}"
            )
        for name, build, rounds in (("kinema", own_loader, options.rounds), ("torch", torch_loader, 3)):
            for num_workers in sorted({0, options.workers}):

                def measure(turn: int, share: float, build: Any = build, num_workers: int = num_workers) -> float:
                    return first_batch_seconds(build(dataset, num_workers), turn, int(share * total))

                start, late, ratio = ratio_of(measure, rounds)
                print(
                    f"first batch, {name}'s loader, {num_workers} workers: {1000 * start:7.1f} ms at 0 %, "
                    f"{1000 * late:7.1f} ms at 90 %, ratio {ratio:5.2f}"
                )


if __name__ == "__main__":
    main()
