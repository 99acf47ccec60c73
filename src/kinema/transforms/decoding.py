"""From a file name, a folder of frames, an array or an image to frames."""

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np

from kinema.errors import SampleValueError, VideoError
from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform, Sample, name_of
from kinema.transforms.points_and_boxes import boxes_to_pixels
from kinema.transforms.prepared_files import PreparedFiles
from kinema.transforms.video_parts import choose_part
from kinema.video import VideoLimits, VideoReader
from kinema.video.images import Library, read_image
from kinema.video.remote import NamedBytes
from kinema.video.slices import FileSlice
from kinema.video.suffixes import VIDEO_SUFFIXES


def write_frames(results: Sample, frames: Any) -> Sample:
    """Put decoded frames into a sample, with their size; boxes, given in shares of the frame, become pixels.

    Args:
        results: the sample.
        frames: (T, H, W, C), or a list of (H, W, C).

    Raises:
        SampleValueError: there are no frames.
    """
    if len(frames) == 0:
        raise SampleValueError(f"no frames were chosen: frame_inds is empty ({name_of(results)})")
    results["imgs"] = frames
    results["original_shape"] = results["img_shape"] = frames[0].shape[:2]
    return boxes_to_pixels(results)


@TRANSFORMS.register_module()
class OpenVideo(BaseTransform):
    """Open the video of a sample.

    Reads `filename`; where there is no file of that name and it has no extension, `.mp4` is added.
    `video_bytes` are read in its place, where the dataset gives them. Writes `video_reader`,
    `total_frames`, `avg_fps`.

    A sample with `start_seconds` and `end_seconds`, or `start_frame` and `end_frame`, is about the
    frames in [start, end) alone: `total_frames` is their number, and `start_index` goes up by the
    first of them, so that whatever chooses frames stays inside.

    Args:
        io_backend: only "disk": the file is read where it lies.
        num_threads: threads that decode this video.
        errors: what becomes of a frame that cannot be decoded: "strict" is a `VideoError`;
            "keep-good" gives the nearest good frame of the video in its place, and `DecodeVideo`
            writes how many were replaced as `num_replaced_frames`.
        backend: the library that decodes, as `VideoReader` names them; only the default is exact on
            every file.
        short_side: let the decoder's colour conversion scale frames to this short side, in pixels:
            faster on large videos, but not the pixels that `Resize` makes of full frames.
        limits: what a video may ask for, as `VideoLimits` or a dict of its fields; None for
            `default_limits()`.
        prepared: folder of `kinema data prepare`; the files that it has of a video are read in its
            place. `filename` stays.

    Raises:
        ValueError: `io_backend` or `errors` is another, or the backend has no such option.
        VideoError: the file cannot be opened as a video, or has no frame in the sample's part.
    """

    def __init__(
        self,
        io_backend: Literal["disk"] = "disk",
        num_threads: int = 1,
        *,
        errors: Literal["strict", "keep-good"] = "strict",
        backend: str = "auto",
        short_side: int | None = None,
        limits: VideoLimits | dict[str, Any] | None = None,
        prepared: str | os.PathLike | None = None,
    ) -> None:
        who = type(self).__name__
        if io_backend not in ("disk", "local"):
            raise ValueError(f"{who} reads files where they lie: io_backend must be 'disk', got {io_backend!r}")
        if errors not in ("strict", "keep-good"):
            raise ValueError(f"{who}: errors must be 'strict' or 'keep-good', got {errors!r}")
        self.io_backend = io_backend
        self.num_threads = num_threads
        self.errors = errors
        self.backend = backend
        self.short_side = short_side
        self.limits = VideoLimits(**limits) if isinstance(limits, dict) else limits
        self.prepared = None if prepared is None else PreparedFiles(prepared)

    def transform(self, results: Sample) -> Sample:
        reader = VideoReader(
            self._source(results),
            num_threads=self.num_threads,
            errors=self.errors,
            backend=self.backend,
            short_side=self.short_side,
            limits=self.limits,
        )
        if self.errors == "keep-good":
            results["num_replaced_frames"] = 0
        first, stop = choose_part(results, reader)
        results["video_reader"] = reader
        results["total_frames"] = stop - first
        if first:
            results["start_index"] = results.get("start_index", 0) + first
        results["avg_fps"] = reader.fps
        return results

    def _source(self, results: Sample) -> str | Path | NamedBytes:
        if "video_bytes" in results:
            content = results.pop("video_bytes")
            return NamedBytes(content.read() if isinstance(content, FileSlice) else content, results["filename"])
        path = _with_suffix(results["filename"])
        return path if self.prepared is None else self.prepared.path_of(path)

    def __repr__(self) -> str:
        options = f"errors={self.errors!r}, backend={self.backend!r}, short_side={self.short_side}"
        if self.limits is not None:
            options += f", limits={self.limits!r}"
        return f"{type(self).__name__}(num_threads={self.num_threads}, {options})"


def _is_flow(results: Sample, who: str) -> bool:
    modality = results.get("modality", "RGB")
    if modality not in ("RGB", "Flow"):
        raise SampleValueError(f"{who}: modality must be 'RGB' or 'Flow', got {modality!r} ({name_of(results)})")
    return modality == "Flow"


def is_kind(part: Any, *kinds: type) -> bool:
    """Whether `part`, what the `type` of a step stands for, is one of `kinds` or derives from one."""
    return isinstance(part, type) and issubclass(part, kinds)


def _with_suffix(filename: str | Path) -> str | Path:
    """`filename`, or the mp4 file that is meant by it."""
    if "://" in str(filename):
        return filename
    path = Path(filename)
    if path.suffix.lower() in VIDEO_SUFFIXES or os.path.lexists(path):
        return path
    longer = path.with_name(f"{path.name}.mp4")
    return longer if not path.suffix or longer.is_file() else path


@TRANSFORMS.register_module()
class DecodeVideo(BaseTransform):
    """Decode the chosen frames, exactly, and close the video.

    Reads `video_reader`, `frame_inds`. Writes `imgs` (num_frames, H, W, 3) uint8 RGB,
    `original_shape`, `img_shape`; `video_reader` becomes None. With `OpenVideo(errors="keep-good")`
    also `num_replaced_frames`.

    Raises:
        VideoError: a frame cannot be decoded.
    """

    def transform(self, results: Sample) -> Sample:
        reader: Any = results["video_reader"]
        frames = np.asarray(results["frame_inds"]).reshape(-1)
        images = reader.get_batch(frames)
        if "num_replaced_frames" in results:
            results["num_replaced_frames"] = reader.num_replaced
        reader.close()
        results["video_reader"] = None
        return write_frames(results, images)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@TRANSFORMS.register_module()
class RawFrameDecode(BaseTransform):
    """Read the chosen frames from a folder of image files.

    Reads `frame_dir`, `filename_tmpl`, `frame_inds`, `modality`, `offset`. Writes `imgs` (a list of
    (H, W, 3) RGB, or of (H, W, 2) flow frames, x and y), `original_shape`, `img_shape`.

    Args:
        io_backend: only "disk".
        decoding_backend: the library that reads, "cv2" or "pillow".

    Raises:
        ValueError: another backend.
        VideoError: a frame's file cannot be read.
        SampleValueError: another `modality`.
    """

    def __init__(self, io_backend: Literal["disk"] = "disk", decoding_backend: Library = "cv2") -> None:
        if io_backend not in ("disk", "local") or decoding_backend not in ("cv2", "pillow"):
            raise ValueError(
                "RawFrameDecode reads files where they lie: io_backend must be 'disk' and decoding_backend 'cv2' or"
                f" 'pillow', got {io_backend!r} and {decoding_backend!r}"
            )
        self.io_backend = io_backend
        self.decoding_backend = decoding_backend

    def transform(self, results: Sample) -> Sample:
        indices = np.asarray(results["frame_inds"]).reshape(-1).tolist()
        frames = {index: self._read(results, index + results.get("offset", 0)) for index in dict.fromkeys(indices)}
        # A frame chosen twice is copied: what a later step does to one must not show in the other.
        last = {index: place for place, index in enumerate(indices)}
        chosen = [frames[i] if last[i] == place else frames[i].copy() for place, i in enumerate(indices)]
        return write_frames(results, chosen)

    def _read(self, results: Sample, number: int) -> np.ndarray:
        folder, template, library = Path(results["frame_dir"]), results["filename_tmpl"], self.decoding_backend
        if _is_flow(results, "RawFrameDecode"):
            files = [folder / template.format(axis, number) for axis in "xy"]
            return np.stack([read_image(file, grey=True, library=library) for file in files], axis=-1)
        return read_image(folder / template.format(number), library=library)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(io_backend={self.io_backend}, decoding_backend={self.decoding_backend})"


@TRANSFORMS.register_module()
class ArrayDecode(BaseTransform):
    """Take the chosen frames out of an array.

    Reads `array` (T, H, W, 3) RGB, or (T, H, W, 2) flow; `frame_inds`, `modality`. Writes `imgs`
    (of flow: x and y of a frame, one after the other, (H, W) each), `original_shape`, `img_shape`.

    Raises:
        SampleValueError: a frame behind the end of the array was chosen, or none; another
            `modality`.
    """

    def transform(self, results: Sample) -> Sample:
        array, indices = results["array"], np.asarray(results["frame_inds"]).reshape(-1)
        if indices.max(initial=-1) >= len(array):
            raise SampleValueError(
                f"ArrayDecode: frame {indices.max()} was chosen of an array of {len(array)} frames, numbered from 0: "
                "total_frames and start_index must be those of the array"
            )
        frames = array[indices]
        if _is_flow(results, "ArrayDecode"):
            return write_frames(results, [frame[..., axis] for frame in frames for axis in (0, 1)])
        return write_frames(results, frames)

    def __repr__(self) -> str:
        return "ArrayDecode()"


@TRANSFORMS.register_module()
class ImageDecode(BaseTransform):
    """Read one image. Reads `filename`. Writes `imgs` (one frame), `original_shape`, `img_shape`.

    Args:
        io_backend: only "disk".
        decoding_backend: the library that reads, "cv2" or "pillow".

    Raises:
        ValueError: another backend.
        VideoError: the file cannot be read.
    """

    def __init__(self, io_backend: Literal["disk"] = "disk", decoding_backend: Library = "cv2") -> None:
        RawFrameDecode(io_backend, decoding_backend)  # the same limits
        self.io_backend = io_backend
        self.decoding_backend = decoding_backend

    def transform(self, results: Sample) -> Sample:
        return write_frames(results, [read_image(results["filename"], library=self.decoding_backend)])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(io_backend={self.io_backend}, decoding_backend={self.decoding_backend})"


@TRANSFORMS.register_module()
class LoadRGBFromFile(BaseTransform):
    """Read one image for transforms of images.

    Reads `img_path`. Writes `img` (H, W, 3) uint8 RGB, `img_shape`, `ori_shape`, both (H, W).

    Args:
        to_float32: change the values to float32.
        color_type: "grayscale" gives (H, W).
        imdecode_backend: only "cv2".
        io_backend: only "disk".
        ignore_empty: reject the sample, as None, where the file cannot be read.

    Raises:
        ValueError: another backend or colour.
        VideoError: the file cannot be read.
    """

    def __init__(
        self,
        to_float32: bool = False,
        color_type: Literal["color", "grayscale"] = "color",
        imdecode_backend: Literal["cv2"] = "cv2",
        io_backend: Literal["disk"] = "disk",
        ignore_empty: bool = False,
    ) -> None:
        if color_type not in ("color", "grayscale"):
            raise ValueError(f"LoadRGBFromFile: color_type must be 'color' or 'grayscale', got {color_type!r}")
        if io_backend not in ("disk", "local") or imdecode_backend != "cv2":
            raise ValueError(
                "LoadRGBFromFile reads files where they lie, by OpenCV: io_backend must be 'disk' and imdecode_backend"
                f" 'cv2', got {io_backend!r} and {imdecode_backend!r}"
            )
        self.to_float32 = to_float32
        self.color_type = color_type
        self.imdecode_backend = imdecode_backend
        self.io_backend = io_backend
        self.ignore_empty = ignore_empty

    def transform(self, results: Sample) -> Sample | None:
        try:
            image = read_image(results["img_path"], grey=self.color_type == "grayscale")
        except VideoError:
            if self.ignore_empty:
                return None
            raise
        results["img"] = image.astype(np.float32) if self.to_float32 else image
        results["img_shape"] = results["ori_shape"] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(ignore_empty={self.ignore_empty}, to_float32={self.to_float32},"
            f" color_type={self.color_type!r}, imdecode_backend={self.imdecode_backend!r},"
            f" io_backend={self.io_backend!r})"
        )


@TRANSFORMS.register_module()
class BuildPseudoClip(BaseTransform):
    """Repeat one image as a clip. Reads `imgs` (one frame). Writes `imgs`, `clip_len`, `num_clips`.

    Args:
        clip_len: frames of the clip, T.

    Raises:
        ValueError: `clip_len` below 1.
        SampleValueError: there is more than one image.
    """

    def __init__(self, clip_len: int) -> None:
        if clip_len < 1:
            raise ValueError(f"BuildPseudoClip: clip_len must be at least 1, got {clip_len}")
        self.clip_len = clip_len

    def transform(self, results: Sample) -> Sample:
        if len(results["imgs"]) != 1:
            raise SampleValueError(f"BuildPseudoClip repeats one image, got {len(results['imgs'])}")
        image = results["imgs"][0]
        results["imgs"] = [image, *(image.copy() for _ in range(self.clip_len - 1))]
        results["clip_len"], results["num_clips"] = self.clip_len, 1
        return results

    def __repr__(self) -> str:
        return f"BuildPseudoClip(clip_len={self.clip_len})"
