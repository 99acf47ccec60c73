"""The training pipeline of a SlowOnly recipe against the same built from decord and a cv2 call a frame and step.

The claim: at least 1.5 times the clips/s. The recipe: 8 frames 8 apart, short side 256, a random
resized crop of 224, flip, (C, T, H, W). Both sides read the same list with two worker processes,
draw the same random numbers, and take turns; each round is the same work. A second table gives both
the same decoded frames: the transforms alone, in one process, checked to be equal bit by bit.

Run: python benchmarks/pipeline.py [FOLDER] [--rounds N] [--repeats N] [--workers N]. Needs decord.
"""

import argparse
import hashlib
import importlib.util
import io
import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from kinema.datasets import build_dataloader, pseudo_collate
from kinema.randomness import sample_randomness
from kinema.structures import ActionDataSample
from kinema.transforms import Compose

CLIPS = Path(__file__).parents[1].parent / "shared" / "clips" / "kinetics_style"
SUFFIXES = {".mp4", ".avi", ".mkv", ".webm", ".mov"}
SEED, BATCH_SIZE = 0, 4
TRANSFORMS: list[Any] = [
    dict(type="Resize", scale=(-1, 256)),
    dict(type="RandomResizedCrop"),
    dict(type="Resize", scale=(224, 224), keep_ratio=False),
    dict(type="Flip", flip_ratio=0.5),
    dict(type="FormatShape", input_format="NCTHW"),
    dict(type="PackActionInputs"),
]
PIPELINE: list[Any] = [
    dict(type="OpenVideo"),
    dict(type="SampleFrames", clip_len=8, frame_interval=8, num_clips=1),
    dict(type="DecodeVideo"),
    *TRANSFORMS,
]


# ---- the peer: what the recipe does where it comes from, a loop over frames a step


def peer_frames(path: Path) -> list[np.ndarray]:
    """Read the file into memory, open it with decord, draw a clip, decode it."""
    import decord

    reader = decord.VideoReader(io.BytesIO(path.read_bytes()), num_threads=1)
    num_frames = len(reader)
    starts = num_frames - 64 + 1
    start = np.random.randint(starts, size=1) if starts > 0 else np.around(np.zeros(1))
    frame_inds = np.mod(start[:, None] + np.arange(8) * 8, num_frames).astype(np.int32)
    return list(reader.get_batch(frame_inds.reshape(-1)).asnumpy())


def peer_transforms(frames: list[np.ndarray]) -> dict[str, Any]:
    """Short side, random resized crop, final size, flip, layout, tensor and data sample."""
    height, width = frames[0].shape[:2]
    factor = 256 / min(height, width)
    size = int(width * factor + 0.5), int(height * factor + 0.5)
    frames = [cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in frames]
    left, top, right, bottom = peer_box(*size)
    frames = [frame[top:bottom, left:right] for frame in frames]
    frames = [cv2.resize(frame, (224, 224), interpolation=cv2.INTER_LINEAR) for frame in frames]
    if np.random.rand() < 0.5:
        for frame in frames:
            cv2.flip(frame, 1, frame)
    stacked = np.array(frames)
    views = stacked.reshape(-1, 1, 8, *stacked.shape[1:]).transpose(0, 1, 5, 2, 3, 4)
    inputs = torch.from_numpy(np.ascontiguousarray(views.reshape(-1, *views.shape[2:])))
    return {"inputs": inputs, "data_samples": ActionDataSample().set_gt_label(0)}


def peer_box(width: int, height: int) -> tuple[int, int, int, int]:
    """The random resized crop: ten candidates, the first that fits."""
    ratios = np.exp(np.random.uniform(np.log(3 / 4), np.log(4 / 3), size=10))
    areas = np.random.uniform(0.08, 1.0, size=10) * (height * width)
    widths = np.round(np.sqrt(areas * ratios)).astype(np.int32)
    heights = np.round(np.sqrt(areas / ratios)).astype(np.int32)
    for w, h in zip(widths.tolist(), heights.tolist(), strict=True):
        if w <= width and h <= height:
            left, top = random.randint(0, width - w), random.randint(0, height - h)
            return left, top, left + w, top + h
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


class PeerDataset(Dataset):
    """Clips by the peer's pipeline, drawn as Kinema's loader draws them in epoch 0."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        with sample_randomness(SEED, 0, index):
            return peer_transforms(peer_frames(self.paths[index]))


class KinemaDataset(Dataset):
    """Clips by Kinema's pipeline."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        self.pipeline = Compose(PIPELINE)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return self.pipeline({"filename": str(self.paths[index]), "label": 0, "start_index": 0, "modality": "RGB"})


def one_thread(worker_id: int) -> None:
    """What recipes set for workers: OpenCV without threads of its own."""
    cv2.setNumThreads(0)


# ---- measuring


def loaders(paths: list[Path], num_workers: int) -> dict[str, Any]:
    """Both sides' loaders of the same clips in the same order, with workers that stay alive."""
    options = dict(batch_size=BATCH_SIZE, num_workers=num_workers, persistent_workers=num_workers > 0)
    ours = dict(dataset=KinemaDataset(paths), sampler=dict(type="DefaultSampler", shuffle=False), **options)
    peer = DataLoader(PeerDataset(paths), collate_fn=pseudo_collate, worker_init_fn=one_thread, **options)  # type: ignore[arg-type]
    return {"kinema": build_dataloader(ours, seed=SEED), "decord + cv2": peer}


def cpu_seconds_of_workers() -> float:
    """CPU time that the living worker processes of both sides have used so far; 0 where /proc does not say."""
    ticks = 0
    for process in multiprocessing.active_children():
        stat = Path(f"/proc/{process.pid}/stat")
        if stat.exists():
            fields = stat.read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # user and system time
    return ticks / os.sysconf("SC_CLK_TCK")


def read_once(loader: Any, count: int) -> tuple[float, float]:
    """Clips per second of the clock, and per second of the workers' CPU time."""
    if hasattr(loader, "set_epoch"):
        loader.set_epoch(0)
    clock, cpu = time.perf_counter(), cpu_seconds_of_workers()
    seen = sum(len(batch["inputs"]) for batch in loader)
    assert seen == count, f"{seen} of {count} clips came"
    return count / (time.perf_counter() - clock), count / max(cpu_seconds_of_workers() - cpu, 1e-9)


def compare_pipelines(paths: list[Path], *, rounds: int, repeats: int, num_workers: int) -> None:
    """Alternate whole passes over the clips; print the medians and their ratio."""
    sides = loaders(paths * repeats, num_workers)
    clock: dict[str, list[float]] = {name: [] for name in sides}
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name in sides if number % 2 else reversed(sides):
            rates = read_once(sides[name], len(paths) * repeats)
            if number > 0:  # the first pass starts the workers and fills the file cache
                clock[name].append(rates[0])
                cpu[name].append(rates[1])
    report(f"whole pipeline, {len(paths)} clips x {repeats}, {num_workers} workers, by the clock", clock, "clips/s")
    report("the same by the workers' CPU time, which others on the machine disturb less", cpu, "clips per CPU second")


def compare_transforms(paths: list[Path], *, rounds: int) -> None:
    """Give both sides the same decoded frames, in this process."""
    cv2.setNumThreads(0)
    decoded = [peer_frames(path) for path in paths]
    pipeline = Compose(TRANSFORMS)

    def ours(frames: np.ndarray) -> dict[str, Any]:
        sample = {"imgs": frames, "img_shape": frames[0].shape[:2], "clip_len": 8, "num_clips": 1, "label": 0}
        packed: dict[str, Any] = pipeline(sample)
        return packed

    sides: dict[str, Callable[[Any], dict[str, Any]]] = {"kinema": ours, "cv2 loops": peer_transforms}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        seconds = dict.fromkeys(sides, 0.0)
        for index, frames in enumerate(decoded):
            digests = set()
            for name in sides if (number + index) % 2 else reversed(sides):
                given = np.stack(frames) if name == "kinema" else [frame.copy() for frame in frames]
                with sample_randomness(SEED, number, index):
                    started = time.process_time()
                    inputs = sides[name](given)["inputs"]
                    seconds[name] += time.process_time() - started
                digests.add(hashlib.sha256(inputs.numpy().tobytes()).hexdigest())
            assert len(digests) == 1, "the two sides made different pixels of the same frames"
        for name in sides if number > 0 else ():
            rates[name].append(len(decoded) / seconds[name])
    report("transforms alone, one process, equal bit by bit", rates, "clips/s of CPU time")


def report(title: str, rates: dict[str, list[float]], unit: str) -> None:
    """Medians, spread and the ratio of the first side to the second."""
    print(title)
    for name, values in rates.items():
        print(f"  {name:14} {statistics.median(values):8.1f} {unit}   ({min(values):.1f} to {max(values):.1f})")
    first, second = (statistics.median(values) for values in rates.values())
    print(f"  {'ratio':14} {first / second:8.2f}\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=CLIPS, help="folder of videos")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=2, help="how often a pass reads each clip")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    paths = sorted(path for path in args.folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise SystemExit(f"{args.folder}: no videos there; give a folder of videos")
    if importlib.util.find_spec("decord") is None:
        raise SystemExit("the side to compare with needs decord: pip install 'kinema[decord]'")
    compare_transforms(paths, rounds=args.rounds)
    compare_pipelines(paths, rounds=args.rounds, repeats=args.repeats, num_workers=args.workers)


if __name__ == "__main__":
    main()
