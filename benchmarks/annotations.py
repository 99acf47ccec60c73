"""What a list of 10^5, 10^6, 10^7 `path label` lines costs, against a straightforward reader into a list of dicts.

The claims: a million lines load in under 1 s of CPU and add under 120 MB; a sample's dict takes
under 10 us; a worker process costs next to nothing more. Each side of each size runs in a process
of its own. Linux only: memory is read from /proc.

Run: python benchmarks/annotations.py [--lines 100000 1000000]
"""

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from kinema.datasets import VideoDataset

ROUNDS = 20_000  # samples asked for to time one
NEEDED_KB_A_LINE = 0.8  # what the list of dicts takes, about


class ListOfDicts(Dataset):
    """The straightforward reader: a dict a line."""

    def __init__(self, path: Path) -> None:
        self.samples = []
        with path.open(encoding="utf-8") as file:
            for line in file:
                name, label = line.rsplit(maxsplit=1)
                self.samples.append(
                    {"filename": f"clips/{name}", "label": int(label), "start_index": 0, "modality": "RGB"}
                )

    def __len__(self) -> int:
        return len(self.samples)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """A fresh dict of sample `idx`."""
        return {**self.samples[idx], "sample_idx": idx}


SIDES = {
    "kinema": lambda path: VideoDataset(path, data_prefix={"video": "clips"}),
    "list of dicts": ListOfDicts,
}


def write_list(path: Path, num_lines: int) -> None:
    """A list as of Kinetics: 400 classes, names of about 45 bytes."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(num_lines):
            file.write(f"class_{number % 400:03d}/video_{number:09d}_000010_000020.mp4 {number % 400}\n")


def memory_mb(field: str) -> float:
    """A line of /proc/self/status, in MB."""
    line = next(one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith(field))
    return int(line.split()[1]) / 1024


def private_mb() -> float:
    """Memory that this process shares with no other, in MB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(one.split()[1]) for one in lines if one.startswith("Private_")) / 1024


def work(dataset: Any, results: Any) -> None:
    """What a worker does: ask for samples, all over the list. Reports its private memory."""
    for index in range(0, len(dataset), max(1, len(dataset) // 100_000)):
        dataset.get_data_info(index)
    results.put(private_mb())


def worker_mb(dataset: Any, method: str) -> float:
    """Private memory of a worker process started by `method`."""
    context = multiprocessing.get_context(method)
    results = context.Queue()
    process = context.Process(target=work, args=(dataset, results))
    process.start()
    used: float = results.get(timeout=300)
    process.join()
    return used


def measure(side: str, path: Path, small: Path) -> dict[str, float]:
    """Everything about one side and one list, in this process."""
    build = SIDES[side]
    nothing = build(small)  # all imports and caches are there from now on
    base = {method: worker_mb(nothing, method) for method in ("fork", "spawn")}
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before, started = memory_mb("VmRSS"), time.process_time()
    dataset = build(path)
    figures = {"load CPU s": time.process_time() - started, "peak MB": memory_mb("VmHWM") - before}
    places = random.Random(0).choices(range(len(dataset)), k=ROUNDS)
    started = time.process_time()
    for place in places:
        dataset.get_data_info(place)
    figures["us a sample"] = (time.process_time() - started) / ROUNDS * 1e6
    for method, own in base.items():
        figures[f"{method} worker MB"] = max(0.0, worker_mb(dataset, method) - own)
    return figures


def run(side: str, path: Path, small: Path) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--measure", side, str(path), str(small)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(answer)
    return figures


def main() -> None:
    """Print a table a size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure[0], *map(Path, options.measure[1:]))))
        return
    available_kb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") / 1024
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.txt"
        write_list(small, 10)
        for num_lines in options.lines:
            path = Path(folder) / "list.txt"
            write_list(path, num_lines)
            print(f"\n{num_lines:,} lines, {path.stat().st_size / 1e6:.0f} MB")
            ours = run("kinema", path, small)
            # Each worker of the other side ends with a copy of the list.
            fits = 2 * num_lines * NEEDED_KB_A_LINE < available_kb
            theirs = run("list of dicts", path, small) if fits else {}
            print(f"{'':16} {'kinema':>10} {'list of dicts':>14} {'ratio':>8}")
            for name, value in ours.items():
                least = 1.0 if name.endswith("MB") else 0.0  # MB below one are noise
                ratio = theirs[name] / max(value, least) if fits else 0
                other = f"{theirs[name]:14.2f} {ratio:7.1f}x" if fits else f"{'no memory':>14}"
                print(f"{name:16} {value:10.2f} {other}")


if __name__ == "__main__":
    main()
