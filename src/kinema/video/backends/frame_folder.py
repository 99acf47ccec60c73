"""FrameFolder: numbered image files of one folder as a video, of colours or of optical flow."""

import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from string import Formatter
from typing import Literal, NamedTuple

import numpy as np

from kinema.errors import VideoError
from kinema.video.images import read_image
from kinema.video.limits import VideoLimits, Watch, default_limits

Modality = Literal["RGB", "Flow"]

_NUMBERED_IMAGE = re.compile(r"(?P<stem>.*?)(?P<digits>\d+)(?P<suffix>\.(?:jpg|jpeg|png|bmp|webp|tif|tiff|ppm))", re.I)
# What stands before the number in a file of flow: "x", "flow_x_", "flow-y_" ...
_FLOW_STEM = re.compile(r"(?P<before>(?:.*[_\-.])?)(?P<axis>[xy])(?P<after>[_\-.]?)")


class FrameFolder:
    """A folder of image files, one a frame or (flow) two a frame, as a `Backend`.

    Args:
        path: the folder.
        filename_tmpl: how files are named, for `str.format`: of RGB `"img_{:05}.jpg"`, with the
            frame's number; of flow `"flow_{}_{:05}.jpg"`, with "x" or "y" and the number. None
            finds it: for RGB the one kind of numbered image that is no flow, for flow the pair
            `flow_x_00001.jpg`, `flow_y_00001.jpg` or `x_00001.jpg`, `y_00001.jpg`.
        modality: "RGB" for colours, "Flow" for the two components of optical flow, stored as grey
            images.
        fps: frames per second; a folder does not say. 0.0 when unknown.
        limits: what the images may ask for; None for `default_limits()`.

    Attributes:
        filename_tmpl: the one given or found.
        start_index: number in the name of the first file, which is frame 0.
        num_frames: from the first number to the last.
        width: pixels a row, of the first image.
        height: pixels a column, of the first image.
        watch: holds the calls to the limits.

    Raises:
        ValueError: `modality` is neither, `fps` is negative, or `filename_tmpl` does not name files
            of this modality.
        VideoError: there is no such folder, no frames in it, several kinds of frames, or a number
            is missing.
    """

    def __init__(
        self,
        path: str | Path,
        filename_tmpl: str | None = None,
        *,
        modality: Modality = "RGB",
        fps: float = 0.0,
        limits: VideoLimits | None = None,
    ) -> None:
        if modality not in ("RGB", "Flow"):
            raise ValueError(f"modality must be 'RGB' or 'Flow', got {modality!r}")
        if fps < 0:
            raise ValueError(f"fps must not be negative, got {fps}")
        self.path = Path(path)
        self.watch = Watch(limits or default_limits(), str(path))
        self.modality = modality
        self.fps = float(fps)
        if not self.path.is_dir():
            what = "is a file, not a folder of frames" if self.path.exists() else "no such folder"
            raise VideoError(f"{self.path}: {what}")
        names = sorted(file.name for file in self.path.iterdir())
        if filename_tmpl is None:
            try:
                filename_tmpl = find_template(names, modality)
            except ValueError as error:
                raise VideoError(f"{self.path}: {error}") from error
        self.filename_tmpl = filename_tmpl
        numbers = self._numbers(names)
        self.start_index = numbers[0]
        self.num_frames = len(numbers)
        self.watch.check_frames(self.num_frames)

    def _numbers(self, names: list[str]) -> list[int]:
        """Numbers in the files' names, ascending, without gaps, the same for both axes of flow."""
        numbers_of_axes = [numbers_of(names, self.filename_tmpl, axis) for axis in self._axes]
        everything = sorted(set().union(*numbers_of_axes))
        if not everything:
            raise VideoError(f"{self.path}: there is no file named like {self._file_name(self._axes[0], 1)!r}")
        for axis, numbers in zip(self._axes, numbers_of_axes, strict=True):
            present = set(numbers)
            for number in range(everything[0], everything[-1] + 1):
                if number not in present:
                    raise VideoError(
                        f"{self.path}: {self._file_name(axis, number)} is missing, there are frames up to number"
                        f" {everything[-1]}"
                    )
        return everything

    @property
    def _axes(self) -> tuple[str, ...]:
        return ("",) if self.modality == "RGB" else ("x", "y")

    def _file_name(self, axis: str, number: int) -> str:
        return self.filename_tmpl.format(*([axis] if axis else []), number)

    @cached_property
    def _shape(self) -> tuple[int, int]:
        height, width = self._read(0).shape[:2]
        return height, width

    @property
    def width(self) -> int:
        return self._shape[1]

    @property
    def height(self) -> int:
        return self._shape[0]

    @property
    def timestamps_seconds(self) -> np.ndarray:
        """(num_frames,) float64, evenly spaced from 0.

        Raises:
            VideoError: the frame rate is unknown.
        """
        if not self.fps:
            raise VideoError(f"{self.path}: a folder of frames has no times: open it as FrameFolder(path, fps=...)")
        return np.arange(self.num_frames) / self.fps

    def decode(self, indices: np.ndarray, *, stays: bool = False) -> np.ndarray:
        """Read some frames.

        Args:
            indices: (N,) int64 in [0, num_frames).
            stays: see `Backend.decode`; files are read one by one, so it makes no difference.

        Returns:
            (N, H, W, 3) uint8 RGB, or of flow (N, H, W, 2) uint8, x and y as stored.

        Raises:
            VideoError: a file is no image, or of another size than the first.
        """
        channels = 3 if self.modality == "RGB" else 2
        self.watch.check_memory(len(indices), *self._shape, channels)
        out = np.empty((len(indices), *self._shape, channels), np.uint8)
        for place, index in enumerate(indices.tolist()):
            frame = self._read(index)
            if frame.shape[:2] != self._shape:
                height, width = frame.shape[:2]
                file = self.path / self._file_name(self._axes[0], self.start_index + index)
                raise VideoError(f"{file}: is {width}x{height}, the first frame is {self.width}x{self.height}")
            out[place] = frame
        return out

    def _read(self, index: int) -> np.ndarray:
        files = [self.path / self._file_name(axis, self.start_index + index) for axis in self._axes]
        if self.modality == "RGB":
            return read_image(files[0], limits=self.watch.limits)
        x, y = (read_image(file, grey=True, limits=self.watch.limits) for file in files)
        if x.shape != y.shape:
            raise VideoError(f"{files[1]}: is {y.shape[1]}x{y.shape[0]}, {files[0].name} is {x.shape[1]}x{x.shape[0]}")
        return np.stack([x, y], axis=-1)

    def close(self) -> None:
        """Nothing is open between two calls."""


class _Kind(NamedTuple):
    """Files that differ only in their number."""

    stem: str
    suffix: str


def find_template(names: Iterable[str], modality: Modality) -> str:
    """How the frames among `names` are named, as `FrameFolder` takes it: `"img_{:05}.jpg"`, `"flow_{}_{:05}.jpg"`.

    Raises:
        ValueError: there are no frames of this modality, or several kinds of them.
    """
    digits: dict[_Kind, int] = {}
    for name in names:
        if match := _NUMBERED_IMAGE.fullmatch(name):
            kind = _Kind(match["stem"], match["suffix"])
            digits[kind] = min(digits.get(kind, 1000), len(match["digits"]))
    flow = {
        _Kind(stem, suffix) for stem, suffix in digits if _other_axis(stem) and (_other_axis(stem), suffix) in digits
    }
    if modality == "RGB":
        templates = {
            _braces_doubled(kind.stem) + _number(digits[kind]) + kind.suffix for kind in digits if kind not in flow
        }
    else:
        templates = {_flow_stem(kind.stem) + _number(digits[kind]) + kind.suffix for kind in flow}
    if len(templates) == 1:
        return templates.pop()
    example = "img_00001.jpg" if modality == "RGB" else "flow_x_00001.jpg with flow_y_00001.jpg"
    if not templates:
        raise ValueError(f"holds no {modality} frames: expected numbered images such as {example}")
    raise ValueError(f"holds several kinds of {modality} frames, {sorted(templates)}: say which by filename_tmpl")


def numbers_of(names: Iterable[str], filename_tmpl: str, axis: str) -> list[int]:
    """Numbers of the files that a template names, ascending.

    Args:
        names: file names.
        filename_tmpl: with one field, or with two when `axis` is given.
        axis: "" or what the first of two fields becomes.

    Raises:
        ValueError: the template has another number of fields.
    """
    fields = [field for _, field, _, _ in Formatter().parse(filename_tmpl) if field is not None]
    if len(fields) != (2 if axis else 1) or not all(field in ("", "0", "1") for field in fields):
        example = "'flow_{}_{:05}.jpg'" if axis else "'img_{:05}.jpg'"
        raise ValueError(f"filename_tmpl must be like {example}, got {filename_tmpl!r}")
    given = [axis] if axis else []
    # Every number in a name is tried, so that templates may hold digits and fields of any format.
    return sorted(
        {
            int(digits)
            for name in names
            for digits in re.findall(r"[0-9]+", name)
            if filename_tmpl.format(*given, int(digits)) == name
        }
    )


def _other_axis(stem: str) -> str | None:
    """`flow_y_` of `flow_x_` and the reverse; None when the stem names no axis."""
    match = _FLOW_STEM.fullmatch(stem)
    return match and match["before"] + ("y" if match["axis"] == "x" else "x") + match["after"]


def _flow_stem(stem: str) -> str:
    match = _FLOW_STEM.fullmatch(stem)
    assert match is not None
    return _braces_doubled(match["before"]) + "{}" + match["after"]


def _number(digits: int) -> str:
    return f"{{:0{digits}}}" if digits > 1 else "{}"


def _braces_doubled(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
