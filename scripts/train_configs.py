"""Train every config of a folder for two steps on made clips, and validate: one line a config.

Configs without training are tested, those without data have their model built.

python scripts/train_configs.py FOLDER [--jobs 2] [--only TEXT] [--without-weights] [--limit 900]

Only paths of data, batch sizes and numbers of workers are overridden, by dotted keys; networks keep
their size. The status is 1 when a config fails otherwise than by a part that is not there yet.
"""

import argparse
import logging
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import kinema.compat
from kinema.config import Config
from kinema.engine import Hook, Runner
from kinema.errors import KinemaError
from kinema.openmmlab.configs import without_pretrained
from kinema.registry import MODELS
from kinema.training import Run
from kinema.video import write_video

STEPS = 2
FRAMES = 40  # of each clip
CLIPS = ("a", "b")


class StopAfter(Hook):
    """End the training after `STEPS` batches."""

    def after_train_iter(self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if runner.progress.iteration + 1 >= STEPS:
            runner.stop(f"{STEPS} steps are done")


def make_data(folder: Path) -> None:
    """Videos, sound, frames and flow of two clips in `folder`, with a list of annotations for each way to read them."""
    drawn = np.random.default_rng(0)
    for name in CLIPS:
        frames = drawn.integers(0, 255, (FRAMES, 96, 128, 3), dtype=np.uint8)
        write_video(folder / f"{name}.mp4", frames, 10)
        np.save(folder / f"{name}.npy", drawn.random((640, 80), np.float32))
        for kind, template in (("sth", "{:05}.jpg"), ("frames", "img_{:05}.jpg"), ("flow", "{}_{:05}.jpg")):
            (folder / kind / name).mkdir(parents=True)
            for place, frame in enumerate(frames, start=1):
                for axis in ("x", "y") if kind == "flow" else ("",):
                    file = folder / kind / name / (template.format(axis, place) if axis else template.format(place))
                    cv2.imwrite(str(file), frame[..., 0] if axis else frame)
    lines = {
        "videos.txt": [f"{name}.mp4 {label}" for label, name in enumerate(CLIPS)],
        "videos.csv": [f"{name}.mp4,{label}" for label, name in enumerate(CLIPS)],
        "frames.txt": [f"{name} {FRAMES} {label}" for label, name in enumerate(CLIPS)],
        "sound.txt": [f"{name}.npy {FRAMES} {label}" for label, name in enumerate(CLIPS)],
        "images.txt": [f"frames/{name}/img_00001.jpg {label}" for label, name in enumerate(CLIPS)],
    }
    for file, content in lines.items():
        (folder / file).write_text("\n".join(content) + "\n")


def data_overrides(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Overrides of a config that let it read the data of `make_data`, one or two clips a batch, in this process."""
    overrides: dict[str, Any] = {}
    other_loaders = dict(enumerate((config.get("train_cfg") or {}).get("other_loaders", ())))
    loaders = {f"train_cfg.other_loaders.{number}": settings for number, settings in other_loaders.items()}
    loaders |= {name: config.get(name) for name in ("train_dataloader", "val_dataloader", "test_dataloader")}
    batch_size = 2 if other_loaders else 1  # OmniHead normalises over the samples
    for loader, settings in loaders.items():
        if not isinstance(settings, Mapping):
            continue
        size = 1 if loader == "test_dataloader" else batch_size
        overrides |= {f"{loader}.batch_size": size, f"{loader}.num_workers": 0, f"{loader}.persistent_workers": False}
        for place, dataset in _datasets(settings["dataset"], f"{loader}.dataset"):
            if "ImageNet" in str(dataset.get("type")):
                overrides |= {f"{place}.ann_file": str(folder / "images.txt"), f"{place}.data_prefix": str(folder)}
                continue
            is_frames = "Rawframe" in str(dataset.get("type"))
            template = str(dataset.get("filename_tmpl", "img_{:05}.jpg"))
            kind = "flow" if template.startswith("{}_") else "frames" if template.startswith("img_") else "sth"
            annotations = (
                "frames.txt" if is_frames else "videos.csv" if dataset.get("delimiter") == "," else "videos.txt"
            )
            annotations = "sound.txt" if "Audio" in str(dataset.get("type")) else annotations
            overrides[f"{place}.ann_file"] = str(folder / annotations)
            for key in dataset.get("data_prefix") or {"video": ""}:
                overrides[f"{place}.data_prefix.{key}"] = str(folder / kind if is_frames else folder)
    return overrides


def _datasets(dataset: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The data sets that read files, and their places."""
    if "datasets" in dataset:
        for number, inner in enumerate(dataset["datasets"]):
            yield from _datasets(inner, f"{place}.datasets.{number}")
    elif "dataset" in dataset:
        yield from _datasets(dataset["dataset"], f"{place}.dataset")
    else:
        yield place, dataset


def train(file: Path, data: Path, work_dir: Path, *, without_weights: bool) -> str:
    """Train and validate a config, or test what has no training; returns what to report.

    Raises:
        KinemaError: see the parts of the config.
    """
    config = Config.fromfile(file)
    config.merge_from_dict(data_overrides(config, data))
    if without_weights and config.get("model"):
        config["model"] = without_pretrained(config["model"])
        config["load_from"] = None
    config["work_dir"] = str(work_dir)
    if not (config.get("train_dataloader") or config.get("test_dataloader")):
        return f"builds  {type(MODELS.build(config['model'])).__name__}" if config.get("model") else "empty  no model"
    runner = Runner.from_cfg(config)
    start = time.perf_counter()
    if not config.get("train_dataloader"):
        return f"tests  {_shown(runner.test())}; {time.perf_counter() - start:.0f} s"
    runner.register_hook(StopAfter())
    runner.train()
    figures = _shown(runner.val())
    loss = runner.train_figures.get("loss", float("nan"))
    return f"trains  {runner.progress.step} steps, loss {loss:.3g}; {figures}; {time.perf_counter() - start:.0f} s"


def _shown(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in metrics.items())


def report(file: Path, data: Path, without_weights: bool, sender: Any) -> None:
    """Send the line of a config."""
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as work_dir:
        try:
            line = train(file, data, Path(work_dir), without_weights=without_weights)
        except KinemaError as error:
            line = f"refused  {type(error).__name__}: {' '.join(str(error).split())}"
        except Exception as error:
            line = f"FAILS  {type(error).__name__}: {' '.join(str(error).split())}"
    sender.send(line)


def sweep(files: list[Path], data: Path, options: argparse.Namespace) -> Iterator[tuple[Path, str]]:
    """Each config in a process of its own, some at a time."""
    context = multiprocessing.get_context("fork")
    waiting, running = list(files), {}
    while waiting or running:
        while waiting and len(running) < options.jobs:
            file = waiting.pop(0)
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=report, args=(file, data, options.without_weights, sender))
            process.start()
            sender.close()
            running[receiver] = file, process, time.monotonic() + options.limit
        nearest = min(deadline for _, _, deadline in running.values())
        ready = wait(list(running), timeout=max(0.0, nearest - time.monotonic()))
        for receiver, (file, process, deadline) in list(running.items()):
            if receiver in ready:
                try:
                    line = receiver.recv()
                except EOFError:
                    line = "FAILS  the process ended (out of memory?)"
            elif time.monotonic() > deadline:
                process.kill()
                line = f"FAILS  not done after {options.limit} s"
            else:
                continue
            process.join()
            del running[receiver]
            yield file, line


def main() -> int:
    """Train all configs; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=2, help="configs at a time")
    parser.add_argument("--only", default="", help="text that must be in the path of a config")
    parser.add_argument("--without-weights", action="store_true", help="download no pretrained weights")
    parser.add_argument("--limit", type=int, default=900, help="seconds for a config")
    options = parser.parse_args()
    files = [
        file
        for file in sorted(options.folder.rglob("*.py"))
        if "_base_" not in file.parts and options.only in str(file.relative_to(options.folder))
    ]
    kinema.compat.install()
    counts: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as data:
        make_data(Path(data))
        for file, line in sweep(files, Path(data), options):
            print(f"{file.relative_to(options.folder)}  {line}", flush=True)
            kind = line.split()[0]
            counts[kind] = counts.get(kind, 0) + 1
    print(", ".join(f"{kind} {count}" for kind, count in sorted(counts.items())))
    return int("FAILS" in counts)


if __name__ == "__main__":
    sys.exit(main())
