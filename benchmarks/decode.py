"""Reading clips with Kinema against decord, torchcodec, OpenCV and plain PyAV: CPU time, clips a second, equality.

The claims, by the geometric mean over clips and the three sparse plans: at most 0.55 of decord's
CPU time and 0.70 of torchcodec's; on no H.264 clip above 1.05 of the best peer, on no MPEG-4 clip
above 1.10. Every frame equals plain PyAV's.

The work is to open the file, to count its frames and to get the chosen ones as an array. The
contenders take turns on each clip, and the median of the repeats counts. Kinema starts without any
memory of the file; with the index of an earlier reader, and scaling, it is reported apart.
torchcodec's approximate mode, which believes the header instead of reading the packets, is a column
of its own and not among the best peers. OpenCV and plain PyAV believe the header's count too. A
peer that gives wrong frames is measured all the same.

Run: python benchmarks/decode.py [FOLDER] [--repeats 9] [--plans "one place" spread] [--clips "v_*"] [--json FILE]
"""

import argparse
import gc
import importlib.metadata
import json
import math
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch
from contenders.clip_readers import (
    APPROXIMATE,
    CONTENDERS,
    EXACT,
    PEERS,
    PLANS,
    RESIZING,
    SPARSE,
    Contender,
    Plan,
    absent_contenders,
    pyav_frames,
    segments,
)

from kinema.cores import available_cores
from kinema.video.index_cache import forget_indices

CLIPS = Path(__file__).parents[1].parent / "shared" / "clips" / "kinetics_style"
SUFFIXES = {".mp4", ".avi", ".mkv", ".webm", ".mov"}
MEAN_LIMITS = {"decord": 0.55, "torchcodec": 0.70}
CLIP_LIMITS = {"h264": 1.05, "mpeg4": 1.10}
BARRIER_SECONDS = 600
BUSY_CORES = 0.2  # used by others, from which on a warning is printed
DIFFERENCES = {"inf": "counts other frames", "nan": "fails"}


# ---- equality


def reference_frames(path: Path) -> np.ndarray:
    """(num_frames, H, W, 3): everything that a sequential decode puts out."""
    with av.open(str(path)) as container:
        return np.stack([make() for make in pyav_frames(container)])


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference of two stacks of frames in 255; infinity when their shapes differ."""
    if found.shape != expected.shape:
        return math.inf
    pairs = zip(found, expected, strict=True)
    return float(max(np.abs(a.astype(np.int16) - b).max() for a, b in pairs))


def compare_frames(
    paths: list[Path], contenders: dict[str, Contender], plans: list[str]
) -> dict[str, dict[str, float]]:
    """Contender -> name of a clip -> largest difference over the plans; not a number where it fails."""
    largest: dict[str, dict[str, float]] = {name: {} for name in contenders}
    for path in paths:
        reference = reference_frames(path)
        for name, read in contenders.items():
            found = 0.0
            try:
                for plan in plans:
                    expected = reference[PLANS[plan](len(reference))]
                    found = max(found, difference(read(path, PLANS[plan]), expected))
            except Exception as error:  # peers raise what they like
                print(f"{name} fails on {path.name}: {str(error).strip().splitlines()[0]}")
                found = math.nan
            largest[name][path.name] = found
    return largest


def report_equality(largest: dict[str, dict[str, float]], codecs: dict[str, str]) -> bool:
    """Print how many files differ; whether Kinema's frames are exact."""
    print("\nequality with a sequential decode by PyAV, of the frames of all plans")
    for name, by_clip in largest.items():
        allowed = {clip: int(codecs[clip] == "mpeg4" and name not in EXACT) for clip in by_clip}
        differing = {clip: value for clip, value in by_clip.items() if not value <= allowed[clip]}
        which = ", ".join(
            f"{clip} {DIFFERENCES.get(str(value)) or f'by {value:g}'}" for clip, value in differing.items()
        )
        print(f"  {name:10} {len(differing)} of {len(by_clip)} clips differ{': ' if which else ''}{which}")
    print("  (peers: MPEG-4 by 1 in 255 is no difference)")
    return all(value == 0 for name in EXACT for value in largest[name].values())


# ---- measuring

Times = dict[str, dict[str, dict[str, float]]]  # plan -> clip -> contender -> milliseconds
Samples = dict[str, dict[str, dict[str, list[float]]]]  # likewise, those of all repeats


def cpu_milliseconds(read: Contender, path: Path, plan: Plan) -> float:
    """CPU time of all threads of this process; not a number when the contender fails."""
    forget_indices()
    gc.collect()
    started = time.process_time()
    try:
        frames = read(path, plan)
    except Exception:  # told when frames were compared
        return math.nan
    spent = time.process_time() - started
    del frames
    return 1000 * spent


def measure_cpu(paths: list[Path], contenders: dict[str, Contender], plans: list[str], repeats: int) -> Samples:
    """Who comes first on a clip changes with every repeat."""
    samples: Samples = {plan: {} for plan in plans}
    order = list(contenders)
    for plan in plans:
        for path in paths:
            spent: dict[str, list[float]] = {name: [] for name in contenders}
            for turn in range(repeats):
                start = turn * 3 % len(order)
                for name in order[start:] + order[:start]:
                    if plan == "whole clip" and name in RESIZING:
                        continue
                    spent[name].append(cpu_milliseconds(contenders[name], path, PLANS[plan]))
            samples[plan][path.name] = {name: values for name, values in spent.items() if values}
    return samples


def reduced(samples: Samples, reduce: Callable[[list[float]], float]) -> Times:
    """One number in place of all repeats."""
    return {
        plan: {clip: {name: reduce(values) for name, values in row.items()} for clip, row in by_clip.items()}
        for plan, by_clip in samples.items()
    }


def use_one_thread() -> None:
    """As a data loader's workers have.

    With torch's default, a thread a core, torchcodec takes up to three times the CPU time.
    """
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def work(paths: list[Path], names: list[str], jobs: list[tuple[str, str]], barrier: Any) -> None:
    """A worker process: every job is one contender's way through all clips."""
    use_one_thread()
    for name in names:
        for path in paths:
            with suppress(Exception):
                CONTENDERS[name](path, segments)
    for name, plan in jobs:
        forget_indices()
        barrier.wait(BARRIER_SECONDS)
        for path in paths:
            with suppress(Exception):
                CONTENDERS[name](path, PLANS[plan])
        barrier.wait(BARRIER_SECONDS)


def measure_rates(paths: list[Path], names: list[str], plans: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Plan -> contender -> clips a second by the clock, as many processes as cores, median of the rounds."""
    cores = available_cores()
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(cores + 1)
    jobs = [(name, plan) for _ in range(rounds) for plan in plans for name in names]
    workers = [context.Process(target=work, args=(paths, names, jobs, barrier), daemon=True) for _ in range(cores)]
    for worker in workers:
        worker.start()
    rates: dict[tuple[str, str], list[float]] = {}
    for job in jobs:
        barrier.wait(BARRIER_SECONDS)
        started = time.perf_counter()
        barrier.wait(BARRIER_SECONDS)
        rates.setdefault(job, []).append(cores * len(paths) / (time.perf_counter() - started))
    for worker in workers:
        worker.join()
    return {plan: {name: statistics.median(rates[name, plan]) for name in names} for plan in plans}


# ---- reporting


def geometric_mean(values: Iterable[float]) -> float:
    """Of those that are numbers; not a number when there are none."""
    logarithms = [math.log(value) for value in values if not math.isnan(value)]
    return math.exp(statistics.fmean(logarithms)) if logarithms else math.nan


def best_peer(row: dict[str, float]) -> float:
    """The least time of the peers, without the approximate one."""
    return min((row[name] for name in PEERS if name in row and not math.isnan(row[name])), default=math.nan)


def print_plan(plan: str, by_clip: dict[str, dict[str, float]], codecs: dict[str, str]) -> None:
    """A row a clip: milliseconds, and Kinema's ratios."""
    first = next(iter(by_clip.values()))
    shown = [name for name in first if name not in RESIZING]
    against = [name for name in MEAN_LIMITS if name in first]
    print(
        f"\n{plan}: {PLANS[plan].__doc__}\n{'clip':31}{'codec':>6}" + "".join(f"{name:>11}" for name in shown), end=""
    )
    print("  " + "".join(f"{'/ ' + name:>13}" for name in [*against, "best peer"]))
    rows: list[list[float]] = []
    for clip, row in by_clip.items():
        rows.append([row["kinema"] / row[name] for name in against] + [row["kinema"] / best_peer(row)])
        cells = "".join(f"{row[name]:8.1f} ms" for name in shown)
        print(f"{clip[:30]:31}{codecs[clip]:>6}{cells}  " + "".join(f"{ratio:13.2f}" for ratio in rows[-1]))
    means = [geometric_mean(column) for column in zip(*rows, strict=True)]
    print(f"{'geometric mean of ratios':{37 + 11 * len(shown)}}  " + "".join(f"{mean:13.2f}" for mean in means))


def judge(times: Times, codecs: dict[str, str]) -> dict[str, Any]:
    """Print and return what the goals ask for."""
    rows = [(plan, clip, row) for plan in SPARSE if plan in times for clip, row in times[plan].items()]
    print("\ngoals, over the sparse plans that were measured")
    found: dict[str, Any] = {}
    for name, limit in {**MEAN_LIMITS, APPROXIMATE: None, "opencv": None, "pyav": None}.items():
        if not any(name in row for _, _, row in rows):
            continue
        mean = found[f"of {name}"] = geometric_mean(row["kinema"] / row[name] for _, _, row in rows)
        verdict = "" if limit is None else f", goal {limit:.2f}: {'reached' if mean <= limit else 'MISSED'}"
        print(f"  CPU time of {name}'s: {mean:.3f}{verdict}")
    for codec, limit in CLIP_LIMITS.items():
        ratios = {
            f"{clip}, {plan}": row["kinema"] / best_peer(row) for plan, clip, row in rows if codecs[clip] == codec
        }
        above = {place: ratio for place, ratio in ratios.items() if ratio > limit}
        found[f"{codec} above {limit}"] = above
        print(f"  {codec} above {limit} of the best peer: {len(above)} of {len(ratios)}")
        for place, ratio in sorted(above.items(), key=lambda item: -item[1]):
            print(f"    {ratio:.2f}  {place}")
    return found


def report_least(times: Times) -> None:
    """The means by the least of the repeats, which others on the machine disturb less than the median."""
    rows = [row for plan in SPARSE if plan in times for row in times[plan].values()]
    for name in MEAN_LIMITS:
        if any(name in row for row in rows):
            mean = geometric_mean(row["kinema"] / row[name] for row in rows)
            print(f"  by the least instead of the median of the repeats: {mean:.3f} of {name}'s")


def report_apart(times: Times) -> None:
    """What an index, and scaling while decoding, save."""
    print("\napart: geometric means over the clips")
    for plan, by_clip in times.items():
        again = geometric_mean(row["index="] / row["kinema"] for row in by_clip.values())
        print(f"  {plan:10} with the index of an earlier reader: {again:.2f} of the first reading")
        if plan in SPARSE:
            small, large = RESIZING
            ratio = geometric_mean(row[small] / row[large] for row in by_clip.values())
            print(f"  {plan:10} {small}: {ratio:.2f} of decoding in full and {large}")


def describe_machine() -> dict[str, str]:
    """Processor, cores, versions."""
    cpu_info = Path("/proc/cpuinfo")
    models = (
        [line.partition(":")[2].strip() for line in cpu_info.read_text().splitlines() if line.startswith("model name")]
        if cpu_info.exists()
        else []
    )
    packages = ("av", "decord", "torchcodec", "opencv-python-headless", "numpy", "torch")
    facts = {"processor": models[0] if models else platform.processor(), "cores": str(os.cpu_count())}
    facts["python"] = platform.python_version()
    for package in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            facts[package] = importlib.metadata.version(package)
    facts["PyAV's libavcodec"] = ".".join(map(str, av.library_versions["libavcodec"]))
    return facts


def cpu_seconds_of_machine() -> float:
    """What all processes of this machine have used since it started; 0 where that is not told."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system = map(int, stat.read_text().split()[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def print_rates(rates: dict[str, dict[str, float]], fails: set[str]) -> None:
    """A row a plan."""
    names = list(next(iter(rates.values())))
    print(f"\nclips a second by the clock, a process a core\n{'':12}" + "".join(f"{name:>11}" for name in names))
    for plan, by_name in rates.items():
        print(f"{plan:12}" + "".join(f"{by_name[name]:10.1f}{'*' if name in fails else ' '}" for name in names))
    if fails:
        print("* failed on a clip, which cost it less than reading it")


def codec_of(path: Path) -> str:
    """FFmpeg's name."""
    with av.open(str(path)) as container:
        return container.streams.video[0].codec_context.codec.canonical_name


def run(paths: list[Path], plans: list[str], repeats: int) -> tuple[bool, dict[str, Any]]:
    """Measure and print everything: whether Kinema's frames are exact, and all numbers."""
    machine = describe_machine()
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    absent = absent_contenders()
    for name, reason in absent.items():
        print(f"left out: {name} ({reason})")
    contenders = {name: read for name, read in CONTENDERS.items() if name not in absent}
    compared = {name: read for name, read in contenders.items() if name not in RESIZING}
    codecs = {path.name: codec_of(path) for path in paths}
    largest = compare_frames(paths, compared, plans)
    is_exact = report_equality(largest, codecs)
    others, wall = cpu_seconds_of_machine() - time.process_time(), time.perf_counter()
    samples = measure_cpu(paths, contenders, plans, repeats)
    times = reduced(samples, statistics.median)
    others = (cpu_seconds_of_machine() - time.process_time() - others) / (time.perf_counter() - wall)
    for plan, by_clip in times.items():
        print_plan(plan, by_clip, codecs)
    goals = judge(times, codecs)
    report_least(reduced(samples, min))
    report_apart(times)
    rates = measure_rates(paths, list(compared), plans, (repeats + 1) // 2)
    print_rates(rates, {name for name, by_clip in largest.items() if any(map(math.isnan, by_clip.values()))})
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    print(f"\nload average {load}; other processes used {others:.1f} cores while CPU times were taken")
    if others > BUSY_CORES:
        print("warning: others were busy: clips a second are too low and CPU times noisy; repeat on a quiet machine")
    numbers = {"machine": machine, "cpu_milliseconds": samples, "clips_per_second": rates, "goals": goals}
    return is_exact, {**numbers, "largest_difference": largest, "cores_used_by_others": others}


def main() -> int:
    """Measure and print; 1 when a frame of Kinema's is not exact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=CLIPS, help="folder of videos")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--plans", nargs="+", choices=list(PLANS), default=list(PLANS))
    parser.add_argument("--clips", default="*", metavar="PATTERN", help="only files of these names")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there as well")
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error(f"--repeats must be at least 1, got {args.repeats}")
    paths = sorted(path for path in args.folder.glob(args.clips) if path.suffix.lower() in SUFFIXES)
    if not paths:
        print(f"skipped: no videos {args.clips} in {args.folder}; name a folder of videos")
        return 0
    use_one_thread()
    is_exact, numbers = run(paths, args.plans, args.repeats)
    if args.json is not None:
        args.json.write_text(json.dumps(numbers, indent=1))
    if not is_exact:
        print("FAILED: frames of Kinema's differ from a sequential decode", file=sys.stderr)
    return 0 if is_exact else 1


if __name__ == "__main__":
    sys.exit(main())
