"""Networks: time of a forward pass and of a training step, and peak memory, against another way to compute the same.

The other side is torch's default kernels (channels first, torch's own choice of algorithms), or, by
--other FILE.py:FUNCTION, another implementation: the function takes a model config and returns a
`Contender`, see contenders/networks.py. Both sides have the same weights and inputs, take turns,
and must give the same scores. Float32; one view of the card's input.

On a CPU the time is that of the processor, all threads together, so that what else runs there counts
less. Each network has a process of its own: memory that earlier networks gave back would spare the
side that needs more of it the time in which the system provides it. The floor, with --floor, is the
least time of the matrix products of our linear layers alone, as a share of the other side's median:
no implementation of them gets below it, but by leaving products out.

The claims, for a forward pass on a CPU against OpenMMLab's implementation: 3D networks 0.90, X3D
0.70, 2D networks 0.95 of the time, none above 1.0, and peak memory never above it.

Run: python benchmarks/models.py [PATTERN ...] [--train] [--memory] [--other FILE.py:FUNCTION]
[--rounds N] [--threads N]
"""

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from contenders.floor import bare_products
from contenders.networks import Build, Contender, load_other, ours, usual
from torch import Tensor

from kinema.models import zoo
from kinema.registry import MODELS

# One size a family.
DEFAULT = (
    *(
        "tsn_r50",
        "tsm_r50",
        "tsm_mobilenetv2",
        "tsm_r50_nl_dot_product",
        "tin_r50",
        "tanet_r50",
        "trn_r50",
        "tpn_tsm_r50",
    ),
    *("c2d_r50", "c3d", "i3d_r50", "i3d_r50_nl_dot_product", "r2plus1d_r34", "slowonly_r50", "slowfast_r50"),
    *("ircsn_r50", "x3d_s", "x3d_m", "tpn_slowonly_r50", "compact3d"),
)


def main(default: Sequence[str] = DEFAULT, usual_other: str | None = None) -> None:
    """Measure what the command line names.

    Args:
        default: networks, where it names none.
        usual_other: the other side, where it names none.
    """
    options = parse()
    options.other = options.other or usual_other
    torch.set_num_threads(options.threads or torch.get_num_threads())
    if options.peak:
        print(json.dumps(peak_memory(options)))
        return
    if options.alone:
        name, _, kind = options.alone.partition(":")
        print(measured(name, kind == "train", options))
        return
    names = [name for pattern in options.patterns for name in zoo.names(pattern)] or list(default)
    other = options.other or "torch's default kernels"
    print(f"{torch.get_num_threads()} threads, {options.device}, {options.rounds} rounds; ours against {other}\n")
    print(
        f"{'network':30} {'input':22} {'pass':8} {'other':>9} {'ours':>9} {'ratio':>6} {'of least':>8}"
        + "  floor" * options.floor
        + "   memory" * options.memory
    )
    for name in names:
        for kind in ("forward", "train") if options.train else ("forward",):
            print(in_own_process(["--alone", f"{name}:{kind}", "--rounds", str(options.rounds)], options), flush=True)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("patterns", nargs="*", help="names of the zoo, with * and ?; default: one size a family")
    parser.add_argument("--train", action="store_true", help="also training steps")
    parser.add_argument(
        "--memory", action="store_true", help="also peak memory, each side in a process of its own (Linux)"
    )
    parser.add_argument("--floor", action="store_true", help="also the time of the bare matrix products")
    parser.add_argument("--other", help="another implementation: FILE.py:FUNCTION")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--size", type=int, help="pixels; default: the card's")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--alone", metavar="NAME:PASS", help=argparse.SUPPRESS)
    parser.add_argument("--peak", nargs=2, metavar=("NAME:PASS", "SIDE"), help=argparse.SUPPRESS)
    return parser.parse_args()


def builders(options: argparse.Namespace) -> dict[str, Build]:
    """Both sides by name."""
    return {"other": load_other(options.other) if options.other else usual, "ours": ours}


def inputs_for(name: str, options: argparse.Namespace) -> Tensor:
    """One view of the card's input a sample."""
    shape = zoo.card(name).input.view_shape(size=options.size) if options.size else zoo.card(name).input.view_shape()
    batch = torch.randn(options.batch_size, *shape[1:], generator=torch.Generator().manual_seed(0))
    return batch.to(options.device)


def config_for(name: str) -> dict[str, Any]:
    """The model's config, as plain as JSON holds it, with scores before the softmax."""
    config = zoo.model_config(name, zoo.card(name).num_classes)
    config["cls_head"]["average_clips"] = "score"
    return config


def with_same_weights(name: str, build: Build, device: str) -> Contender:
    """A side with weights that any side gets."""
    torch.manual_seed(0)
    reference = MODELS.build(config_for(name))
    made = build(config_for(name))
    made.module.load_state_dict(reference.state_dict())
    made.module.to(device)
    return made


def as_step(side: Contender, inputs: Tensor, is_training: bool) -> Callable[[], Tensor]:
    """What is measured: a forward pass, or loss and gradients."""
    side.module.train(is_training)
    labels = torch.zeros(len(inputs), dtype=torch.long)

    def forward() -> Tensor:
        with torch.no_grad():
            return side.scores(inputs)

    def train() -> Tensor:
        side.module.zero_grad(set_to_none=True)
        loss = side.loss(inputs, labels)
        loss.backward()
        return loss.detach()

    return train if is_training else forward


def measured(name: str, is_training: bool, options: argparse.Namespace) -> str:
    """A line of the table."""
    inputs = inputs_for(name, options)
    steps = {
        side: as_step(with_same_weights(name, build, options.device), inputs, is_training)
        for side, build in builders(options).items()
    }
    results = {side: step() for side, step in steps.items()}
    if not is_training:
        worst = (results["ours"] - results["other"]).abs().max().item()
        assert worst <= 1e-4 * results["other"].abs().max().item(), (
            f"{name}: the two sides give different scores ({worst})"
        )
    if options.floor:
        module = with_same_weights(name, ours, options.device).module
        steps["floor"] = bare_products(module, inputs, is_training)
    clock = time.perf_counter if inputs.is_cuda else time.process_time
    times: dict[str, list[float]] = {side: [] for side in steps}
    for _ in range(options.rounds):
        for side, step in steps.items():
            begin = clock()
            step()
            if inputs.is_cuda:
                torch.cuda.synchronize()
            times[side].append(clock() - begin)
    other, mine = (statistics.median(times[side]) for side in ("other", "ours"))
    least = min(times["ours"]) / min(times["other"])
    kind = "train" if is_training else "forward"
    line = (
        f"{name:30} {'x'.join(map(str, inputs.shape)):22} {kind:8} {other * 1e3:6.0f} ms {mine * 1e3:6.0f} ms"
        f" {mine / other:6.2f} {least:8.2f}"
    )
    if options.floor:
        line += f" {min(times['floor']) / other:6.2f}"
    return line + (f" {memory_ratio(name, kind, options)}" if options.memory else "")


def in_own_process(arguments: Sequence[str], options: argparse.Namespace) -> str:
    """The last line that this script prints with `arguments` and the settings of `options`."""
    command = [sys.executable, __file__, *arguments, "--batch-size", str(options.batch_size)]
    command += ["--threads", str(torch.get_num_threads()), "--device", options.device]
    command += ["--other", options.other] if options.other else []
    command += ["--size", str(options.size)] if options.size else []
    command += ["--floor"] * options.floor + ["--memory"] * options.memory
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()[-1]


# ---- memory


def memory_ratio(name: str, kind: str, options: argparse.Namespace) -> str:
    """Peak memory of a step above what weights and input take: ours and its ratio."""
    peaks = {}
    for side in ("other", "ours"):
        peaks[side] = json.loads(in_own_process(["--peak", f"{name}:{kind}", side], options))
    return f"{peaks['ours']:5.0f} MB {peaks['ours'] / peaks['other']:.2f}"


def peak_memory(options: argparse.Namespace) -> float:
    """Megabytes that the step of one side takes at most above what is there before it; Linux or CUDA."""
    what, side = options.peak
    name, _, kind = what.partition(":")
    inputs = inputs_for(name, options)
    step = as_step(with_same_weights(name, builders(options)[side], options.device), inputs, kind == "train")
    if inputs.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    step()  # what is made once, such as code for this processor, is no matter of the step
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = status("VmRSS")
    step()
    return (status("VmHWM") - before) / 1e3


def status(entry: str) -> int:
    """A figure of this process, kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{entry}:")))


if __name__ == "__main__":
    main()
