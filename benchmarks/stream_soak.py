"""Watch a camera whose connection is cut again and again: flat memory, and never a stale frame.

A local server plays a camera: it draws the number of each frame into its picture, encodes H.264 at
25 frames a second into MPEG-TS without a pause, and sends whoever is connected what is encoded now,
from the middle of a group of pictures on. Half of the cuts close the connection; the others leave
it open and send nothing. What reaches the model is read back from the pixels: a frame is stale when
its number is not above all before it.

Run: python benchmarks/stream_soak.py [--minutes 60] [--cuts 20]
"""

import argparse
import io
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import torch

from kinema.inference import VideoRecognizer
from kinema.inference.stream import (
    SourceOptions,
    Stream,
    StreamFigures,
    StreamGap,
    StreamUpdate,
    Watching,
    open_source,
)
from kinema.models import create_model

FPS = 25
BITS = 20  # of a number: a month of frames
BIT_WIDTH, HEIGHT = 16, 64  # pixels
LEAST_GROWTH_MB = 8.0  # that counts as growth
PIPELINE = [
    dict(type="OpenVideo"),
    dict(type="SampleFrames", clip_len=8, frame_interval=4, test_mode=True),
    dict(type="DecodeVideo"),
    dict(type="Resize", scale=(64, 64), keep_ratio=False),
    dict(type="FormatShape", input_format="NCTHW"),
    dict(type="PackActionInputs"),
]


def draw_number(number: int) -> np.ndarray:
    """(HEIGHT, BITS * BIT_WIDTH, 3) uint8: a white stripe for every bit that is set."""
    bits = (number >> np.arange(BITS) & 1).astype(np.uint8) * 235
    return np.ascontiguousarray(np.broadcast_to(bits.repeat(BIT_WIDTH)[None, :, None], (HEIGHT, BITS * BIT_WIDTH, 3)))


def read_number(frame: np.ndarray) -> int:
    """The number that `draw_number` drew, also after lossy coding."""
    middle = frame[HEIGHT // 4 : -HEIGHT // 4, BIT_WIDTH // 2 :: BIT_WIDTH, 1].mean(0)
    return int(((middle > 127) << np.arange(BITS)).sum())


class LiveCamera(io.RawIOBase):
    """A camera behind a TCP port: MPEG-TS from now on for whoever connects; one client at a time.

    Attributes:
        address: of the stream.
        num_connections: clients so far.
    """

    def __init__(self, port: int = 0) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        self.address = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self.num_connections = 0
        self._client: socket.socket | None = None
        self._is_frozen = self._is_closed = False
        self._started = time.monotonic()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._accept, self._film)]
        for thread in self._threads:
            thread.start()

    def number_now(self) -> float:
        """The number of the frame that is filmed now."""
        return (time.monotonic() - self._started) * FPS

    def cut(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def freeze(self, frozen: bool) -> None:
        """Send nothing for a while; the connection stays open."""
        self._is_frozen = frozen

    def stop(self) -> None:
        """Close it for good."""
        self._is_closed = True
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # frees the thread that accepts
        self._server.close()
        for thread in self._threads:
            thread.join(5)
        self.cut()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            client.settimeout(5)
            self.cut()
            self.num_connections += 1
            self._client = client

    def writable(self) -> bool:
        return True

    def write(self, content: bytes) -> int:  # type: ignore[override]
        """What the encoder gives goes to the client, if there is one."""
        client = self._client
        if client is not None and not self._is_frozen:
            try:
                client.sendall(bytes(content))
            except OSError:  # it went away
                client.close()
                self._client = None
        return len(content)

    def _film(self) -> None:
        with av.open(self, "w", format="mpegts", options={"flush_packets": "1"}) as container:
            options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(2 * FPS)}
            stream = container.add_stream("libx264", rate=FPS, options=options)
            stream.width, stream.height, stream.pix_fmt = BITS * BIT_WIDTH, HEIGHT, "yuv420p"
            number = 0
            while not self._is_closed:
                time.sleep(max(0.0, (number - self.number_now()) / FPS))
                frame = av.VideoFrame.from_ndarray(draw_number(number), format="rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
                number = max(number + 1, int(self.number_now()))


class Witness(Stream):
    """A stream that reads the number of every frame before the model gets it.

    Attributes:
        num_stale: frames whose number was not above all before.
        num_unordered: frames whose time and number disagree by over a second, gaps aside.
        oldest_seconds: age of the oldest frame when the model got it.
    """

    def __init__(self, recognizer: VideoRecognizer, camera: LiveCamera) -> None:
        super().__init__(recognizer, length_seconds=2.0, stride_seconds=1.0)
        self._camera = camera
        self.num_stale = self.num_unordered = 0
        self.oldest_seconds = 0.0
        self._newest = -1
        self._anchor: tuple[int, float] | None = None  # number and time of the first frame behind a gap

    def push(self, frame: np.ndarray, time_seconds: float) -> StreamUpdate:
        number = read_number(frame)
        self.num_stale += number <= self._newest
        self._newest = max(self._newest, number)
        self.oldest_seconds = max(self.oldest_seconds, (self._camera.number_now() - number) / FPS)
        if self._anchor is None:
            self._anchor = number, time_seconds
        expected = self._anchor[1] + (number - self._anchor[0]) / FPS
        self.num_unordered += abs(time_seconds - expected) > 1.0
        return super().push(frame, time_seconds)

    def cut(self) -> StreamUpdate:
        self._anchor = None
        return super().cut()


@dataclass
class Report:
    """What a soak measured; memory in MB."""

    figures: StreamFigures
    gaps: list[StreamGap] = field(default_factory=list)
    num_connections: int = 0
    num_stale: int = 0
    num_unordered: int = 0
    oldest_seconds: float = 0.0
    memory_begin: float = 0.0
    memory_end: float = 0.0


def memory_mb() -> float:
    """Resident memory of this process; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * 4096 / 1e6


@contextmanager
def cutting(camera: LiveCamera, seconds: float, cuts: int, stall_seconds: float) -> Iterator[threading.Event]:
    """Cut the connection at even times, every second time by silence; sets the event at the end."""
    ended = threading.Event()

    def work() -> None:
        for number in range(cuts):
            if ended.wait(seconds / (cuts + 1)):
                return
            if number % 2:
                camera.freeze(True)
                ended.wait(1.5 * stall_seconds)
                camera.freeze(False)
            else:
                camera.cut()
        ended.wait(seconds / (cuts + 1))
        ended.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield ended
    finally:
        ended.set()
        thread.join()


def soak(seconds: float, cuts: int, *, stall_seconds: float = 5.0, show: bool = False) -> Report:
    """Watch the camera for some time."""
    torch.manual_seed(0)
    camera = LiveCamera()
    try:
        recognizer = VideoRecognizer(create_model("compact3d", num_classes=3), ("a", "b", "c"), PIPELINE)
        witness = Witness(recognizer, camera)
        options = SourceOptions(stall_seconds=stall_seconds, longest_pause_seconds=2.0)
        source = open_source(camera.address, witness.length_seconds, options)
        with cutting(camera, seconds, cuts, stall_seconds) as ended:
            watching = Watching(witness, source, is_stopped=ended.is_set)
            report = Report(watching.figures)
            begin, shown = time.monotonic(), 0.0
            for item in watching:
                passed = time.monotonic() - begin
                if isinstance(item, StreamGap):
                    report.gaps.append(item)
                if not report.memory_begin and passed > min(60.0, seconds / 4):
                    report.memory_begin = memory_mb()
                if show and passed - shown > 60:
                    shown = passed
                    print(
                        f"{passed / 60:5.1f} min: {memory_mb():.1f} MB, {watching.figures.num_frames} frames",
                        flush=True,
                    )
            watching.finish()
    finally:
        camera.stop()
    report.memory_end = memory_mb()
    report.num_connections = camera.num_connections
    report.num_stale, report.num_unordered = witness.num_stale, witness.num_unordered
    report.oldest_seconds = witness.oldest_seconds
    return report


def main() -> None:
    """Print the figures; exit with 1 when a frame was stale or memory grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--cuts", type=int, default=4)
    arguments = parser.parse_args()
    report = soak(60 * arguments.minutes, arguments.cuts, show=True)
    figures = report.figures
    median, high = figures.latency.quantile(0.5), figures.latency.quantile(0.95)
    print(f"frames      {figures.num_frames}, dropped {figures.num_dropped}, skipped {figures.num_skipped}")
    print(f"stale       {report.num_stale}; at a wrong time {report.num_unordered}")
    print(f"oldest      {report.oldest_seconds:.2f} s old when the model got it")
    print(f"connections {report.num_connections}, reconnects {figures.num_reconnects}, cuts {arguments.cuts}")
    print(f"gaps        {figures.num_gaps}, together {figures.gap_seconds:.1f} s")
    print(f"windows     {figures.num_windows}, latency {median or 0:.3f} s (95 % below {high or 0:.3f} s)")
    print(f"memory      {report.memory_begin:.1f} MB at the begin, {report.memory_end:.1f} MB at the end")
    grew = report.memory_end - report.memory_begin > LEAST_GROWTH_MB
    sys.exit(int(bool(report.num_stale or report.num_unordered or grew)))


if __name__ == "__main__":
    main()
