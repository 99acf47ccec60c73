"""What a scan of a long video costs beside decoding alone, and how much memory it takes.

The claims: scoring all windows of a 30 fps video with a small model (compact3d, windows of 8
frames, half overlapping) takes at most 1.25 times as long as decoding the frames that the windows
need; and the peak memory of a long video is that of a short one but for 25 MB an hour, for what is
known of its packets. Scan and decoding take turns, each in a process of its own; the
best of the rounds counts.

Run: python benchmarks/timeline.py [--minutes N] [--size WIDTHxHEIGHT] [--rounds N]. An hour:
--minutes 60. Linux and macOS only: peak memory is what the system says of a process.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import torch

from kinema.inference import VideoRecognizer
from kinema.inference.windows.planning import plan_windows
from kinema.inference.windows.preparation import WindowPreparation
from kinema.models import create_model, zoo
from kinema.video import VideoReader, write_video

FPS = 30
MADE_SECONDS = 20  # a video repeats so much
FRAME_INTERVAL = 7  # what `kinema train` chooses for clips of two seconds
GOAL = 1.25
GROWTH_MB_AN_HOUR = 25.0
CLASSES = 8


class Cost(NamedTuple):
    """What one process took."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    count: int  # of windows or frames


def make_video(path: Path, minutes: float, size: tuple[int, int]) -> None:
    """Some seconds of moving patterns, over and over: the packets are copied."""
    width, height = size
    part = path.with_name(f"part-{path.name}")
    rows, columns = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 12, (height, width), np.uint8)

    def frames() -> Any:
        for number in range(MADE_SECONDS * FPS):
            waves = 90 + 60 * np.sin((columns + 3 * number) / 23) + 50 * np.cos((rows - 2 * number) / 17)
            frame = np.repeat((waves + noise)[:, :, None].clip(0, 255).astype(np.uint8), 3, axis=2)
            left = 5 * number % max(width - 40, 1)
            frame[height // 4 : height // 2, left : left + 40, number // FPS % 3] = 255
            yield frame

    if not part.exists():
        write_video(part, frames(), FPS)
    repeats = max(1, round(minutes * 60 / MADE_SECONDS))
    with av.open(str(path), "w") as output:
        stream = None
        for repeat in range(repeats):
            with av.open(str(part)) as source:
                if stream is None:
                    stream = output.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is None:
                        continue
                    shift = int(repeat * MADE_SECONDS / Fraction(packet.time_base))
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    output.mux(packet)
    part.unlink()


def recognizer() -> VideoRecognizer:
    """Untrained: what it says does not matter here."""
    torch.manual_seed(0)
    pipeline = zoo.video_pipeline(zoo.card("compact3d"), frame_interval=FRAME_INTERVAL, num_clips=1)
    classes = [str(index) for index in range(CLASSES)]
    return VideoRecognizer(create_model("compact3d", num_classes=CLASSES), classes, pipeline)


def scan(path: Path) -> int:
    """Score all windows."""
    return len(recognizer().windows(path))


def decode(path: Path) -> int:
    """Decode the frames that the windows need, and nothing else."""
    preparation = WindowPreparation(recognizer().pipeline)
    with VideoReader(path) as reader:
        length = preparation.clip_seconds(reader.fps)
        spans = plan_windows(reader.timestamps_seconds.tolist(), length, length / 2)
        seen = [span.first_frame + preparation.frames_of(len(span), span.fps, "video") for span in spans]
        numbers = np.unique(np.concatenate(seen))
        for begin in range(0, len(numbers), 32):
            reader.get_batch(numbers[begin : begin + 32])
    return len(numbers)


def run(what: str, path: Path, results: Any) -> None:
    """A process: measure `scan` or `decode` of one video."""
    torch.set_num_threads(1)
    recognizer()  # imports and models are not what is measured
    started, cpu_started = time.monotonic(), time.process_time()
    count = {"scan": scan, "decode": decode}[what](path)
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu_started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)
    results.put(Cost(seconds, cpu_seconds, peak, count))


def measure(what: str, path: Path) -> Cost:
    """Run in a process of its own."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=run, args=(what, path, results), daemon=True)
    process.start()
    cost: Cost = results.get(timeout=36_000)
    process.join()
    return cost


def best(costs: list[Cost]) -> Cost:
    """The least of each figure."""
    return Cost(*(min(values) for values in zip(*costs, strict=True)))


def main() -> int:
    """Print both sides and the ratio; 1 when a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    short = min(4.0, args.minutes / 2)
    with tempfile.TemporaryDirectory() as folder:
        paths = {minutes: Path(folder) / f"{minutes}.mp4" for minutes in (short, args.minutes)}
        for minutes, path in paths.items():
            make_video(path, minutes, (width, height))
        small = measure("scan", paths[short])
        pairs = [[measure(what, paths[args.minutes]) for what in ("scan", "decode")] for _ in range(args.rounds)]
    scanned, decoded = (best([pair[side] for pair in pairs]) for side in (0, 1))
    print(f"{args.minutes:g} minutes of {width}x{height}: {scanned.count} windows that need {decoded.count} frames")
    for name, cost in (("scan", scanned), ("decoding these frames", decoded)):
        print(f"{name:22} {cost.seconds:8.2f} s   {cost.cpu_seconds:8.2f} s of CPU   peak {cost.peak_mb:6.0f} MB")
    ratio, cpu_ratio = scanned.seconds / decoded.seconds, scanned.cpu_seconds / decoded.cpu_seconds
    growth = scanned.peak_mb - small.peak_mb
    print(f"ratio: {ratio:.2f}, of CPU time {cpu_ratio:.2f} (goal: {GOAL})")
    print(f"peak memory: {small.peak_mb:.0f} MB for {short:g} minutes, {growth:+.1f} MB for {args.minutes:g}")
    allowed = GROWTH_MB_AN_HOUR * max(1.0, args.minutes / 60)
    if ratio > GOAL or growth > allowed:
        print(f"FAILED: expected a ratio of at most {GOAL} and a growth of at most {allowed:.0f} MB", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
