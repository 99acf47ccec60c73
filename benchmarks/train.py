"""What the engine costs a training, against a bare PyTorch loop over the same parts; and what a checkpoint does.

The claim: a step of a run, data loading included, takes at most 1.02 times as long as the same step
in a loop that does nothing else; a checkpoint that is written meanwhile stops the training for the
time of a copy.

Both sides train the same network from the same weights (the time of pooling depends on values) on
the same clips with loaders of the same settings, a step of the one after a step of the other; the
figure is the ratio of the medians over all steps, in CPU time of the one process with one thread,
which also reads the clips. The run has the hooks that every run has, logging every 20 batches;
checkpoints are measured by themselves: seconds that the training waits for one, and the share of
these in an epoch of 100 steps.

Run: python benchmarks/train.py [--steps N] [--models NAME ...]
"""

import argparse
import copy
import logging
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from contenders.trained import model_of

from kinema.datasets import VideoDataset, build_dataloader
from kinema.datasets.synthetic import make_motion_dataset
from kinema.engine import CheckpointHook, Hook, Run, Runner
from kinema.optim import Window

MODELS = ("tiny3d", "compact3d", "slowonly_r50", "tsm_r50")
BATCH_SIZE, SIZE = 2, 64


class Beside(Hook):
    """Trains a twin in a bare loop, a step after each step of the run, and notes the CPU time of both.

    Args:
        model: the twin.
        loader: like that of the run.
    """

    priority = "LOWEST"

    def __init__(self, model: Any, loader: Any) -> None:
        self.model, self.batches = model.train(), endless(loader)
        self.optimizer = optimizer_of(model)
        self.run: list[float] = []
        self.bare: list[float] = []
        self.begun = time.process_time()

    def after_train_iter(self, runner: Run, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.run.append(time.process_time() - self.begun)
        started = time.process_time()
        self.step(next(self.batches))
        self.begun = time.process_time()
        self.bare.append(self.begun - started)

    def step(self, batch: Any) -> None:
        """A step of a plain loop."""
        model = self.model
        losses = model(**model.data_preprocessor(batch, True), mode="loss")
        loss, _ = model.parse_losses(losses)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def loader_of(name: str, clips: Any) -> Any:
    """Clips of 8 frames, SIZE pixels wide."""
    is_2d = name.startswith("tsm")
    pipeline: list[Any] = [
        dict(type="OpenVideo"),
        dict(type="SampleFrames", clip_len=1 if is_2d else 8, frame_interval=2, num_clips=8 if is_2d else 1),
        dict(type="DecodeVideo"),
        dict(type="RandomResizedCrop"),
        dict(type="Resize", scale=(SIZE, SIZE), keep_ratio=False),
        dict(type="Flip", flip_ratio=0.5),
        dict(type="FormatShape", input_format="NCHW" if is_2d else "NCTHW"),
        dict(type="PackActionInputs"),
    ]
    dataset = VideoDataset(clips.train_list, pipeline, data_prefix={"video": clips.root})
    return build_dataloader(
        dict(dataset=dataset, batch_size=BATCH_SIZE, sampler=dict(type="DefaultSampler", shuffle=True)), seed=0
    )


def optimizer_of(model: torch.nn.Module) -> torch.optim.Optimizer:
    """The same on both sides."""
    return torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)


def endless(loader: Any) -> Iterator[Any]:
    """Batches, epoch after epoch."""
    while True:
        yield from loader


def in_run(model: Any, loader: Any, beside: Beside, steps: int, work_dir: str) -> Runner:
    """A run of so many steps, the twin's beside it."""
    runner = Runner(
        model,
        work_dir,
        loader,
        train_cfg=dict(max_iters=steps),
        optim_wrapper=optimizer_of(model),
        default_hooks=dict(checkpoint=None),
        custom_hooks=[beside],
        randomness=dict(seed=0),
        device="cpu",
        log_level="ERROR",
    )
    runner.train()
    return runner


def waiting(runner: Runner, batch: Any, *, asynchronous: bool) -> float:
    """Seconds that a training waits for a checkpoint, the median of three, each after a step."""
    hook = CheckpointHook(asynchronous=asynchronous)
    hook.before_run(runner)
    seconds = []
    for _ in range(3):
        assert runner.train_step is not None
        runner.train_step(batch, Window())
        runner.progress.step += 1
        runner.is_at_border = True  # elsewhere the hook would only note that it was asked
        started = time.perf_counter()
        hook.save_checkpoint(runner)
        seconds.append(time.perf_counter() - started)
        hook.after_train(runner)
        assert runner.store.pointed("last") is not None, "nothing was written"
    return statistics.median(seconds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--models", nargs="+", default=MODELS)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        clips = make_motion_dataset(Path(folder) / "clips", num_train=48, num_val=8, num_frames=32, size=(64, 64))
        print(f"{'network':14}{'bare':>10}{'run':>10}{'ratio':>8}   a checkpoint: waits, asynchronous, of 100 steps")
        for name in options.models:
            measure(name, clips, options.steps, f"{folder}/{name}")


def measure(name: str, clips: Any, steps: int, folder: str) -> None:
    """One network's line."""
    model = model_of(name)
    model.init_weights()  # as the run does, before the twin is copied
    beside = Beside(copy.deepcopy(model), loader_of(name, clips))
    loader = loader_of(name, clips)
    runner = in_run(model, loader, beside, steps, folder)
    plain, engine = (statistics.median(seconds[3:]) for seconds in (beside.bare, beside.run))
    batch = next(iter(loader))
    waits = [waiting(runner, batch, asynchronous=asynchronous) for asynchronous in (False, True)]
    share = waits[1] / (waits[1] + 100 * engine)
    print(
        f"{name:14}{plain * 1e3:8.1f}ms{engine * 1e3:8.1f}ms{engine / plain:8.3f}"
        f"   {waits[0] * 1e3:.0f} ms, {waits[1] * 1e3:.0f} ms, {share:.1%}",
        flush=True,
    )


if __name__ == "__main__":
    main()
