"""10,000 times open, read a frame and close: the memory and the open files of the process stay flat.

Kinds of file are made small: H.264 in mp4, MPEG-4 in avi, one that breaks off, one with damaged
pictures, one that is text. Readers are closed, or dropped without closing, as by a data set that
forgets them. Each run has a process of its own. Growth counts from cycle 2000 on, when caches are
full. Linux only: memory is read from /proc.

Run: python benchmarks/reader_memory.py [--cycles N] [--kinds mp4 text]
"""

import argparse
import contextlib
import multiprocessing
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kinema.errors import VideoError
from kinema.video import VideoReader, write_video

LIMIT_MB = 1.5  # runs without a leak vary by 0.3; one of 150 bytes a cycle was measured as 2
LIMIT_FILES = 2
STEPS = 10  # figures a run


def make_video(path: Path) -> bytes:
    """24 frames of 96 x 64 in which a square moves; its content."""
    frames = np.full((24, 64, 96, 3), 60, np.uint8)
    for number, frame in enumerate(frames):
        frame[10:30, 2 * number : 2 * number + 20] = (250 - 10 * number, 10 * number, 120)
    write_video(path, frames, 25)
    return path.read_bytes()


def make_files(folder: Path) -> dict[str, Path]:
    """Kind -> file."""
    paths = {kind: folder / f"{kind}{suffix}" for kind, suffix in SUFFIXES.items()}
    make_video(paths["mp4"])
    avi = bytearray(make_video(paths["avi"]))
    pictures, end = avi.index(b"movi"), avi.index(b"idx1")
    paths["broken off"].write_bytes(avi[: (pictures + end) // 2])
    for byte in range((pictures + end) // 2, end, 37):
        avi[byte] ^= 0x55
    paths["damaged"].write_bytes(avi)
    paths["text"].write_text("no video at all\n" * 100)
    return paths


SUFFIXES = {"mp4": ".mp4", "avi": ".avi", "broken off": ".avi", "damaged": ".avi", "text": ".mp4"}


def read_and_close(path: Path, number: int) -> None:
    """One cycle with a context manager."""
    with VideoReader(path) as reader:
        reader.get_batch([number % len(reader)])


def read_and_drop(path: Path, number: int) -> None:
    """One cycle that leaves closing to the reader."""
    reader = VideoReader(path)
    reader.get_batch([number % len(reader)])


CYCLES: dict[str, Callable[[Path, int], None]] = {"closed": read_and_close, "dropped": read_and_drop}


def memory_mb() -> float:
    """Resident memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def num_open_files() -> int:
    """File descriptors of this process, and the one that counts them."""
    return len(list(Path("/proc/self/fd").iterdir()))


def run(how: str, path: Path, cycles: int, results: Any) -> None:
    """A process: MB and number of open files before and after each tenth of the cycles, and how many cycles failed."""
    figures, failed = [(memory_mb(), num_open_files())], 0
    for number in range(cycles):
        try:
            CYCLES[how](path, number)
        except VideoError:
            failed += 1
        if (number + 1) % (cycles // STEPS) == 0:
            figures.append((memory_mb(), num_open_files()))
    results.put((figures, failed))


def main() -> int:
    """Print a row a run; 1 when memory or open files grow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=10_000)
    parser.add_argument("--kinds", nargs="+", choices=list(SUFFIXES), default=list(SUFFIXES))
    args = parser.parse_args()
    if not Path("/proc/self/status").exists():
        print("skipped: memory is read from /proc, which this system does not have")
        return 0
    if args.cycles < STEPS:
        parser.error(f"--cycles must be at least {STEPS}")
    context = multiprocessing.get_context("spawn")
    leaks = []
    print(
        f"MB after each {args.cycles // STEPS} cycles\n{'file':12}{'reader':9}"
        + f"{'growth':>{8 * STEPS + 9}}  failed  open files"
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(context.Queue()) as results:
        for kind, path in make_files(Path(folder)).items():
            for how in CYCLES if kind in args.kinds else ():
                process = context.Process(target=run, args=(how, path, args.cycles, results), daemon=True)
                process.start()
                figures, failed = results.get(timeout=3600)
                process.join()
                memory, files = zip(*figures, strict=True)
                growth = memory[-1] - memory[STEPS // 5]
                row = "".join(f"{value:8.1f}" for value in memory[1:])
                print(f"{kind:12}{how:9}{row}{growth:+9.1f}{failed:8}  {files[0]} to {max(files)}", flush=True)
                if growth > LIMIT_MB or max(files) > files[0] + LIMIT_FILES:
                    leaks.append(f"{kind}, {how}")
    if leaks:
        print(
            f"FAILED: memory grows by more than {LIMIT_MB} MB, or files stay open: {'; '.join(leaks)}", file=sys.stderr
        )
    return 1 if leaks else 0


if __name__ == "__main__":
    sys.exit(main())
