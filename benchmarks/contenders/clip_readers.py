"""Ways to read chosen frames of a clip: Kinema's, and those of the libraries it is measured against.

Opening the file, counting its frames and getting the chosen ones as an array is the work of each
one; each has one decoder thread and its own count of the frames.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np

from kinema.video import PacketIndex, VideoReader
from kinema.video.backends.libraries import load_library, reason_for_absence

SHORT_SIDE = 112

Plan = Callable[[int], list[int]]


def spread(num_frames: int) -> list[int]:
    """16 frames evenly over the clip."""
    return ((np.arange(16) + 0.5) * num_frames / 16).astype(int).tolist()


def one_place(num_frames: int) -> list[int]:
    """8 frames 8 apart from the middle; a short clip starts over."""
    start = max(0, (num_frames - 64) // 2)
    return ((start + 8 * np.arange(8)) % num_frames).tolist()


def segments(num_frames: int) -> list[int]:
    """The middle frame of each third."""
    return ((np.arange(3) + 0.5) * num_frames / 3).astype(int).tolist()


def whole_clip(num_frames: int) -> list[int]:
    """All frames."""
    return list(range(num_frames))


PLANS: dict[str, Plan] = {"spread": spread, "one place": one_place, "segments": segments, "whole clip": whole_clip}
SPARSE = ("spread", "one place", "segments")


def kinema(path: Path, plan: Plan) -> np.ndarray:
    """Kinema's reader, which reads all packets to count the frames."""
    with VideoReader(path) as reader:
        return reader.get_batch(plan(len(reader)))


indices: dict[Path, PacketIndex] = {}


def kinema_again(path: Path, plan: Plan) -> np.ndarray:
    """With the index of an earlier reader, which the untimed first call makes."""
    if path not in indices:
        indices[path] = VideoReader(path).index
    with VideoReader(path, index=indices[path]) as reader:
        return reader.get_batch(plan(len(reader)))


def kinema_small(path: Path, plan: Plan) -> np.ndarray:
    """Scaled while colours are converted."""
    with VideoReader(path, short_side=SHORT_SIDE) as reader:
        return reader.get_batch(plan(len(reader)))


def kinema_then_resize(path: Path, plan: Plan) -> np.ndarray:
    """Full frames, each resized by OpenCV."""
    frames = kinema(path, plan)
    height, width = frames.shape[1:3]
    factor = SHORT_SIDE / min(height, width)
    size = int(width * factor + 0.5), int(height * factor + 0.5)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in frames])


def decord(path: Path, plan: Plan) -> np.ndarray:
    """The real one, past the module of that name that Kinema offers."""
    reader = load_library("decord").VideoReader(str(path), num_threads=1)
    frames: np.ndarray = reader.get_batch(plan(len(reader))).asnumpy()
    return frames


def torchcodec(path: Path, plan: Plan, seek_mode: str = "exact") -> np.ndarray:
    """In its default mode, which reads all packets to count the frames."""
    library = load_library("torchcodec")
    decoder = library.VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode=seek_mode)
    frames: np.ndarray = decoder.get_frames_at(plan(len(decoder))).data.numpy()
    return frames


def torchcodec_approximate(path: Path, plan: Plan) -> np.ndarray:
    """In the mode that believes the header."""
    return torchcodec(path, plan, seek_mode="approximate")


def opencv(path: Path, plan: Plan) -> np.ndarray:
    """Grab from the start on, retrieve the frames asked for."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])

    def frames() -> Iterator[Callable[[], np.ndarray]]:
        while capture.grab():
            yield lambda: cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB)

    picked = pick(plan(int(capture.get(cv2.CAP_PROP_FRAME_COUNT))), frames())
    capture.release()
    return picked


def plain_pyav(path: Path, plan: Plan) -> np.ndarray:
    """Decode from the start on, convert the frames asked for."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        count = stream.frames
        if not count:
            count = sum(bool(packet.size) for packet in container.demux(stream))
            container.seek(0)
        return pick(plan(count), pyav_frames(container))


def pyav_frames(container: av.container.InputContainer) -> Iterator[Callable[[], np.ndarray]]:
    """All frames by one thread, each turned into an upright array when that is called for."""
    stream = container.streams.video[0]
    stream.codec_context.thread_count, stream.codec_context.thread_type = 1, "NONE"
    for frame in container.decode(stream):
        yield partial(upright_pixels, frame)


def upright_pixels(frame: av.VideoFrame) -> np.ndarray:
    """(H, W, 3), turned as the file says."""
    return np.rot90(frame.to_ndarray(format="rgb24", threads=1), round(frame.rotation / 90))


def pick(wanted: list[int], frames: Iterable[Callable[[], np.ndarray]]) -> np.ndarray:
    """(N, H, W, 3): the wanted ones of consecutive frames, in the order asked."""
    rows_of: dict[int, list[int]] = {}
    for row, number in enumerate(wanted):
        rows_of.setdefault(number, []).append(row)
    out: np.ndarray | None = None
    last = max(wanted)
    for number, make in enumerate(frames):
        if number in rows_of:
            pixels = make()
            out = np.empty((len(wanted), *pixels.shape), np.uint8) if out is None else out
            for row in rows_of.pop(number):
                out[row] = pixels
        if number == last:
            break
    if out is None or rows_of:
        raise RuntimeError(f"the decoder ends before frame {last}")
    return out


Contender = Callable[[Path, Plan], np.ndarray]
PEERS: dict[str, Contender] = {"decord": decord, "torchcodec": torchcodec, "opencv": opencv, "pyav": plain_pyav}
APPROXIMATE = "tc approx."
EXACT = {"kinema": kinema, "index=": kinema_again}
RESIZING = {f"short_side={SHORT_SIDE}": kinema_small, "cv2.resize": kinema_then_resize}


CONTENDERS = {**EXACT, **PEERS, APPROXIMATE: torchcodec_approximate, **RESIZING}


def absent_contenders() -> dict[str, str]:
    """Name -> why its library does not load."""
    needs = {"decord": "decord", "torchcodec": "torchcodec", APPROXIMATE: "torchcodec"}
    reasons = {name: reason_for_absence(library) for name, library in needs.items()}
    return {name: reason for name, reason in reasons.items() if reason is not None}
