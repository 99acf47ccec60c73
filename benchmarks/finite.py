"""What it costs to look at losses and gradients before every update, on a CPU.

The claim: at most 1.005 times the time of the step. One model trains on one batch; every other step
is looked at, as `NonFiniteHook` does it, so that both sides share weights, memory and the state of
the machine. The figure is the ratio of the medians, in CPU time of one thread; the batch is in
memory already, so that nothing but the step is in it.

Run: python benchmarks/finite.py [--steps N] [--models NAME ...]
"""

import argparse
import statistics
import time
from typing import Any

import torch
from contenders.trained import model_of

from kinema.diagnosis import FiniteGuard
from kinema.diagnosis.culprits import random_states
from kinema.optim import OptimWrapper
from kinema.structures import ActionDataSample

MODELS = ("tiny3d", "compact3d", "slowonly_r50", "tsm_r50")
CPU = torch.device("cpu")


def batch_of(name: str, size: int) -> dict[str, Any]:
    """Two clips of 8 frames."""
    shape = (8, 3, size, size) if name.startswith("tsm") else (1, 3, 8, size, size)
    clips = [torch.randint(0, 256, shape, dtype=torch.uint8) for _ in range(2)]
    return {"inputs": clips, "data_samples": [ActionDataSample().set_gt_label(label) for label in range(2)]}


def ratio(name: str, steps: int, size: int) -> tuple[float, float]:
    """Milliseconds of a plain step, and how many times as long one takes that is looked at."""
    model = model_of(name).train()
    optim = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9))
    guard = FiniteGuard(optim.optimizer, CPU, lambda finding: True)
    batch = batch_of(name, size)
    times: dict[bool, list[float]] = {False: [], True: []}
    for number in range(2 * steps + 4):
        is_guarded = number % 2 == 1
        optim.guard = guard if is_guarded else None
        started = time.process_time()
        if is_guarded:
            random_states(CPU)
        model.train_step(batch, optim)
        if number >= 4:
            times[is_guarded].append(time.process_time() - started)
    plain = statistics.median(times[False])
    return 1000 * plain, statistics.median(times[True]) / plain


def main() -> None:
    """Print a line a network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--size", type=int, default=112, help="pixels of a frame's side")
    parser.add_argument("--models", nargs="+", default=MODELS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.models:
        milliseconds, times = ratio(name, arguments.steps, arguments.size)
        print(f"{name:14} {milliseconds:9.1f} ms a step, {times:.4f} times as long when it is looked at", flush=True)


if __name__ == "__main__":
    main()
