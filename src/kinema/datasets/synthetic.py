"""A small data set of real video files whose class is in the motion and nowhere else.

The state of a clip's shape is a point on a torus: place across and down (leaving on one side it
comes in on the other), angle, and logarithm of the size (the largest dissolves into the smallest).
The starting point is uniform, and a class moves one coordinate at constant speed in one direction.
So at every frame the state is uniform whatever the class: no single frame shows anything, and a
clip of one class played backwards is a clip of its opposite. Every frame is encoded as a key frame
with a fixed quantizer, so that compression keeps it so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from kinema.video import write_video


@dataclass(frozen=True)
class _Motion:
    """What a class does to the state: which coordinate moves, and over the clip how far, in turns of the torus."""

    coordinate: int
    direction: int
    least_travel: float
    most_travel: float


_ACROSS, _DOWN, _ANGLE, _SIZE = range(4)
_SMALLEST_RADIUS = 0.2  # of the frame's short side
_SIZE_RATIO = 2.6  # largest radius / smallest
_DISSOLVE = 0.25  # last part of the sizes, over which the largest shape gives way to the smallest
_SLIDE = (0.5, 0.9)  # of the frame's width or height
_TURN = (120 / 360, 200 / 360)
_ZOOM = (float(np.log(1.5) / np.log(_SIZE_RATIO)), float(np.log(1.9) / np.log(_SIZE_RATIO)))

# Alphabetical, so that a reader of the folder tree gives the labels of the list files.
_MOTIONS = {
    "growing": _Motion(_SIZE, 1, *_ZOOM),
    "shrinking": _Motion(_SIZE, -1, *_ZOOM),
    "sliding_down": _Motion(_DOWN, 1, *_SLIDE),
    "sliding_left": _Motion(_ACROSS, -1, *_SLIDE),
    "sliding_right": _Motion(_ACROSS, 1, *_SLIDE),
    "sliding_up": _Motion(_DOWN, -1, *_SLIDE),
    "turning_clockwise": _Motion(_ANGLE, -1, *_TURN),
    "turning_counterclockwise": _Motion(_ANGLE, 1, *_TURN),
}
MOTION_CLASSES = tuple(_MOTIONS)

_PATCH = 64  # side of the picture that a shape is drawn on once, before it is moved, pixels
_KEY_FRAMES_ONLY = {"preset": "ultrafast", "qp": "24", "g": "1"}


@dataclass(frozen=True)
class MotionDataset:
    """Where `make_motion_dataset` put things.

    Attributes:
        root: folder that the names in the lists are relative to.
        train_list: list file, one `train/<class>/<name>.mp4 label` a line.
        val_list: the same for the validation clips.
        class_names: name of each label; also in `root/classes.txt`, one a line.
    """

    root: Path
    train_list: Path
    val_list: Path
    class_names: tuple[str, ...]


def make_motion_dataset(
    root: str | Path,
    *,
    seed: int = 0,
    num_train: int = 640,
    num_val: int = 160,
    size: tuple[int, int] = (64, 64),
    num_frames: int = 20,
    fps: float = 10.0,
) -> MotionDataset:
    """Write a motion data set of mp4 files: a textured shape that slides, turns, grows or shrinks.

    A clip depends on `seed` and its own number only: the first 100 clips of 640 are those of 100.

    Args:
        root: folder to write to; made when it is not there. Files of an earlier call are replaced.
        seed: the same seed gives the same frames.
        num_train: number of training clips. Classes take turns, so they are as even as can be.
        num_val: number of validation clips.
        size: width and height, pixels, even.
        num_frames: frames a clip, at least 2.
        fps: frames a second.

    Raises:
        ValueError: a number is too small, or a size is odd.
        FileExistsError: the folder holds other clips, which a reader of the folder tree would take
            for these.
    """
    root = Path(root)
    if num_train < 1 or num_val < 1 or num_frames < 2 or min(size) < 16:
        raise ValueError(
            "need at least 1 clip a split, 2 frames and 16 pixels, "
            f"got {num_train=}, {num_val=}, {num_frames=}, {size=}"
        )
    names = {"train": _clip_names("train", num_train), "val": _clip_names("val", num_val)}
    _refuse_other_clips(root, {name for split in names.values() for name in split})
    for split_number, (split, split_names) in enumerate(names.items()):
        for number, name in enumerate(split_names):
            rng = np.random.default_rng([seed, split_number, number])
            frames = render_motion_clip(_class_of(number), rng, size=size, num_frames=num_frames)
            write_video(root / name, frames, fps, crf=None, options=_KEY_FRAMES_ONLY)
        lines = (f"{name} {number % len(MOTION_CLASSES)}" for number, name in enumerate(split_names))
        _write_lines(root / f"{split}.txt", lines)
    _write_lines(root / "classes.txt", MOTION_CLASSES)
    return MotionDataset(root, root / "train.txt", root / "val.txt", MOTION_CLASSES)


def _class_of(number: int) -> str:
    return MOTION_CLASSES[number % len(MOTION_CLASSES)]


def _clip_names(split: str, count: int) -> list[str]:
    return [f"{split}/{_class_of(number)}/{_class_of(number)}_{number:04d}.mp4" for number in range(count)]


def _refuse_other_clips(root: Path, own: set[str]) -> None:
    for split in ("train", "val"):
        for path in sorted((root / split).rglob("*.mp4")):
            if path.relative_to(root).as_posix() not in own:
                raise FileExistsError(f"{path}: is not of the data set to be written; give an empty folder")


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def render_motion_clip(
    class_name: str, rng: np.random.Generator, *, size: tuple[int, int] = (64, 64), num_frames: int = 20
) -> np.ndarray:
    """Draw one clip.

    Args:
        class_name: one of `MOTION_CLASSES`.
        rng: decides all but the class: background, shape, colours, start, speed.
        size: width and height, pixels.
        num_frames: T.

    Returns:
        (T, H, W, 3) uint8 RGB.
    """
    width, height = size
    background, shape = _draw_scenery(rng, width, height)
    start, pace = rng.random(4), rng.random()
    states = motion_states(class_name, start, pace, num_frames)
    return np.stack([_draw_frame(background, shape, state) for state in states])


def motion_states(class_name: str, start: np.ndarray, pace: float, num_frames: int) -> np.ndarray:
    """Walk over the torus.

    Args:
        class_name: one of `MOTION_CLASSES`.
        start: (4,) in [0, 1): across, down, angle (counter-clockwise), logarithm of the size.
        pace: in [0, 1], from the class's slowest to its fastest.
        num_frames: T, at least 2.

    Returns:
        (T, 4) in [0, 1).
    """
    motion = _MOTIONS[class_name]
    travel = motion.least_travel + pace * (motion.most_travel - motion.least_travel)
    states = np.tile(start, (num_frames, 1))
    states[:, motion.coordinate] += motion.direction * np.linspace(0, travel, num_frames)
    return states % 1


def _draw_scenery(rng: np.random.Generator, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """A dark background (H, W, 3) and a bright shape (P, P, 4) premultiplied by its alpha, float32."""
    back, front = rng.uniform(10, 60, 3), rng.uniform(190, 245, 3)
    back_colours = np.stack([back, back + rng.uniform(-25, 25, 3)])
    background = _texture(rng, width, height, 6, back_colours) + rng.normal(0, 2, (height, width, 1))
    # Blobs of a middle tone show how every part of the shape moves: along a straight edge nothing
    # else would.
    pixels = _texture(rng, _PATCH, _PATCH, 5, np.stack([front, rng.uniform(80, 125, 3)]))
    alpha = _outline(rng)[:, :, None]
    return background.astype(np.float32), np.concatenate([pixels * alpha, alpha], axis=2).astype(np.float32)


def _texture(rng: np.random.Generator, width: int, height: int, cells: int, colours: np.ndarray) -> np.ndarray:
    """Soft blobs of two colours, (H, W, 3) float; `cells` blobs a side."""
    noise = cv2.resize(rng.random((cells, cells)), (width, height), interpolation=cv2.INTER_CUBIC)
    share = np.clip(0.5 + 3 * (noise - 0.5), 0, 1)[:, :, None]
    return np.asarray(share * colours[0] + (1 - share) * colours[1])


def _outline(rng: np.random.Generator) -> np.ndarray:
    """Soft-edged mask (P, P) in [0, 1] of a polygon with 3 to 7 corners, inside the circle of radius P / 2."""
    corners = int(rng.integers(3, 8))
    angles = 2 * np.pi * (np.arange(corners) + rng.uniform(-0.2, 0.2, corners)) / corners
    radii = rng.uniform(0.65, 1.0, corners) * (_PATCH / 2 - 2)
    fine = 4
    points = fine * (_PATCH / 2 + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1))
    mask = np.zeros((fine * _PATCH, fine * _PATCH), np.float32)
    cv2.fillPoly(mask, [points.round().astype(np.int32)], 1.0)
    return np.asarray(cv2.resize(mask, (_PATCH, _PATCH), interpolation=cv2.INTER_AREA))


def _draw_frame(background: np.ndarray, shape: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Put the shape on the background, (H, W, 3) uint8."""
    size = state[3]
    # Near the end of the sizes the large shape dissolves and a small one appears, so that no frame
    # jumps.
    appeared = max(0.0, (size - 1) / _DISSOLVE + 1)
    picture = _blend(background, shape, state, size, 1 - appeared)
    if appeared > 0:
        picture = _blend(picture, shape, state, size - 1, appeared)
    return np.asarray(picture.round().clip(0, 255), np.uint8)


def _blend(picture: np.ndarray, shape: np.ndarray, state: np.ndarray, size: float, opacity: float) -> np.ndarray:
    """Lay the shape over a picture, (H, W, 3) float; `size` as in the state, also outside [0, 1)."""
    height, width = picture.shape[:2]
    across, down, angle = state[:3]
    radius = _SMALLEST_RADIUS * min(width, height) * _SIZE_RATIO**size
    # Drawn in the middle, where no border cuts it, then rolled to its place by whole pixels.
    whole_x, part_x = divmod(across * width, 1)
    whole_y, part_y = divmod(down * height, 1)
    centre = (_PATCH - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), 360 * angle, 2 * radius / _PATCH)
    matrix[:, 2] += (width // 2 + part_x - centre, height // 2 + part_y - centre)
    layer = opacity * cv2.warpAffine(shape, matrix, (width, height))
    layer = np.roll(layer, (int(whole_y) - height // 2, int(whole_x) - width // 2), axis=(0, 1))
    return np.asarray(picture * (1 - layer[:, :, 3:]) + layer[:, :, :3])
