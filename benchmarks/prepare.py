"""How much cheaper random access is after `kinema data prepare`, in CPU time and in one run.

The claims: a clip of 8 frames, 8 apart, from a random place, and a single random frame, take at
most a quarter of the CPU time on the prepared videos that they take on the originals (sums over the
folder, the packet index kept from before, as in every epoch but the first), and no video becomes
more than a tenth dearer. The same is printed for videos that are opened without an index.

Run: python benchmarks/prepare.py [FOLDER] [--rounds N]. Without FOLDER it takes
../shared/clips/kinetics_style, where that is there.
"""

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np

from kinema.video import VideoReader
from kinema.video.index import PacketIndex
from kinema.video.transcode import TranscodeSettings, random_clip_starts, transcode

CLIPS = Path(__file__).parents[2] / "shared" / "clips" / "kinetics_style"
SUFFIXES = {".avi", ".mkv", ".mov", ".mp4", ".mpg", ".webm"}
PLANS = {"8x8": 8 * np.arange(8), "1 frame": np.zeros(1, np.int64)}
NEW = ", opened without an index"
ACCESSES = 6  # a plan, a round and a video
PLACES = 2  # sets of random places, which the rounds take in turn

Times = dict[str, np.ndarray]


def cpu_milliseconds(path: Path, offsets: np.ndarray, seed: int, index: PacketIndex | None) -> float:
    """CPU time of one random access, opening included: the mean of several."""
    length = len(VideoReader(path, index=index))
    starts = list(random_clip_starts(length, int(offsets[-1]) + 1, ACCESSES, seed))
    started = time.process_time()
    for start in starts:
        with VideoReader(path, index=index) as reader:
            reader.get_batch(np.minimum(start + offsets, len(reader) - 1))
    return 1000 * (time.process_time() - started) / len(starts)


def measure(pairs: list[tuple[Path, Path]], rounds: int) -> Times:
    """(videos, 2) milliseconds a plan, original and prepared.

    For each set of places the best of the rounds, which alternate.
    """
    indices = {path: VideoReader(path).index for pair in pairs for path in pair}
    best = {name + how: np.full((PLACES, len(pairs), 2), np.inf) for name in PLANS for how in ("", NEW)}
    for turn in range(rounds * PLACES):
        for place, pair in enumerate(pairs):
            for name, offsets in PLANS.items():
                for how in ("", NEW):
                    seed = turn % PLACES
                    kept = {path: None if how else indices[path] for path in pair}
                    now = [cpu_milliseconds(path, offsets, seed, kept[path]) for path in pair]
                    best[name + how][seed, place] = np.minimum(best[name + how][seed, place], now)
    return {name: values.mean(axis=0) for name, values in best.items()}


def main() -> None:
    """Prepare the videos one after the other, measure, and print a row a video and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=CLIPS)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    sources = sorted(path for path in arguments.folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not sources:
        print(f"skipped: no videos in {arguments.folder}; name a folder of videos")
        return
    with tempfile.TemporaryDirectory() as folder:
        pairs, copied = [], []
        for number, source in enumerate(sources):
            target = Path(folder) / f"{number}.mp4"
            copied.append(transcode(source, target, TranscodeSettings()).is_copy)
            pairs.append((source, target))
        times = measure(pairs, arguments.rounds)
        sizes = np.array([[path.stat().st_size for path in pair] for pair in pairs])
    print(f"{'video':32}" + "".join(f"{name:>10} before   after  ratio" for name in PLANS) + "    size")
    for place, source in enumerate(sources):
        cells = "".join(
            f"{before:14.1f} ms {after:4.1f} ms {before / after:6.2f}"
            for before, after in (times[name][place] for name in PLANS)
        )
        note = "  kept as it is" if copied[place] else ""
        print(f"{source.name[:32]:32}{cells}  {sizes[place, 1] / sizes[place, 0]:5.2f}{note}")
    print(f"size of all: {sizes[:, 1].sum() / sizes[:, 0].sum():.2f} of the originals")
    for name, values in times.items():
        ratios = values[:, 0] / values[:, 1]
        mean = math.exp(np.log(ratios).mean())
        print(
            f"{name}: {values[:, 0].sum() / values[:, 1].sum():.2f} times less CPU time over all videos, "
            f"geometric mean {mean:.2f}, least {ratios.min():.2f}"
        )


if __name__ == "__main__":
    main()
