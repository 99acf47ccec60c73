"""`ActionVisualizer`: labels and scores drawn into the frames of a clip, which go to backends or into a file."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from kinema.distributed import main_process_only
from kinema.registry import VISUALIZERS
from kinema.runs import LocalVisBackend
from kinema.runs.vis_backend import BaseVisBackend
from kinema.structures import ActionDataSample
from kinema.video import FrameFolder, VideoReader
from kinema.visualization.visualizer import Visualizer

VideoType = np.ndarray | Sequence[np.ndarray] | str
OutType = Literal["img", "gif", "video"]

_OUT_TYPES = ("img", "gif", "video")
_MOST_SCORES = 5
_USUAL_SIDE = 224  # pixels: the short side of a frame on which texts are of their usual size


@VISUALIZERS.register_module()
class ActionVisualizer(Visualizer):
    """Draw what is known and predicted of a clip into its frames.

    Frames in memory are RGB for `out_type="img"` and BGR, as OpenCV reads them, for `"gif"` and
    `"video"`, as in OpenMMLab's. Files have the right colours always.

    Args:
        name: of the instance.
        vis_backends: backends, or their configs; see `Visualizer`.
        save_dir: their folder is `vis_data` in it.
        fig_save_cfg: of the matplotlib figure that is drawn on.
        fig_show_cfg: of the matplotlib figure in a window.
    """

    def __init__(
        self,
        name: str = "visualizer",
        vis_backends: Sequence[Mapping[str, Any] | BaseVisBackend] | None = None,
        save_dir: str | os.PathLike[str] | None = None,
        fig_save_cfg: Mapping[str, Any] | None = None,
        fig_show_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(name, None, vis_backends, save_dir, fig_save_cfg, fig_show_cfg)

    def _load_video(self, video: VideoType, target_resolution: tuple[int, int] | None = None) -> list[np.ndarray]:
        """Frames of a clip, (H, W, 3) uint8 each; those of files are BGR.

        Raises:
            TypeError: `video` is nothing that can be a clip.
            VideoError: it cannot be read.
        """
        if isinstance(video, str):
            frames = [frame[..., ::-1] for frame in _read(video)]
        elif isinstance(video, np.ndarray | list | tuple):
            frames = list(video)
        else:
            raise TypeError(f"a clip is an array, a list of frames or a path, got {type(video).__name__}")
        if target_resolution is None:
            return frames
        size = _size_within(frames[0].shape[:2], target_resolution)
        return [cv2.resize(np.ascontiguousarray(frame), size, interpolation=cv2.INTER_LINEAR) for frame in frames]

    @main_process_only
    def add_datasample(  # type: ignore[override]
        self,
        name: str,
        video: VideoType,
        data_sample: ActionDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        draw_score: bool = True,
        rescale_factor: float | None = None,
        show_frames: bool = False,
        text_cfg: Mapping[str, Any] | None = None,
        wait_time: float = 0.1,
        out_path: str | os.PathLike[str] | None = None,
        out_type: OutType = "img",
        target_resolution: tuple[int, int] | None = None,
        step: int = 0,
        fps: int = 4,
    ) -> np.ndarray:
        """Draw into a clip, and record or write it.

        Args:
            name: of the clip.
            video: frames (T, H, W, 3) uint8, a list of them, the path of a video file or of a
                folder of images.
            data_sample: labels and scores of the clip.
            draw_gt: draw `gt_label`.
            draw_pred: draw `pred_label`, and the highest of `pred_score`.
            draw_score: draw scores with it.
            rescale_factor: of the size of the frames.
            show_frames: show them in a window, where there is a screen.
            text_cfg: of `Visualizer.draw_texts`.
            wait_time: seconds between frames in the window.
            out_path: file, without its suffix, or folder of frames; None: the backends record the
                clip.
            out_type: "img": frames as images; "gif" or "video": one file.
            target_resolution: (width, height) of the frames, either may be -1; None: as they are.
            step: of the run.
            fps: frames a second of what is written.

        Returns:
            (T, H, W, 3) uint8, channels in the order of `video`; of files BGR.

        Raises:
            ValueError: `out_type` is none of these.
            TypeError: `video` is nothing that can be a clip.
            VideoError: it cannot be read.
        """
        if out_type not in _OUT_TYPES:
            raise ValueError(f"out_type must be one of {', '.join(_OUT_TYPES)}, got {out_type!r}")
        is_bgr = isinstance(video, str) or out_type != "img"
        frames = self._load_video(video, target_resolution)
        lines = self._lines(data_sample, draw_gt, draw_pred, draw_score)
        drawn = []
        for number, frame in enumerate(frames):
            if rescale_factor is not None:
                frame = cv2.resize(np.ascontiguousarray(frame), None, fx=rescale_factor, fy=rescale_factor)
            texts = [f"Frame {number} of total {len(frames)} frames", *lines]
            drawn.append(self._drawn(frame, "\n".join(texts), text_cfg or {}))
            if show_frames:
                self.show(drawn[-1][..., ::-1] if is_bgr else drawn[-1], win_name=name, wait_time=wait_time)
        clip = np.stack(drawn)
        rgb = clip[..., ::-1] if is_bgr else clip
        if out_path is None:
            self._record(name, rgb, step, fps, out_type)
        else:
            folder, last = os.path.split(os.fspath(out_path))
            LocalVisBackend(folder or ".").add_video(last, rgb, step, fps, out_type)
        return clip

    @main_process_only
    def add_video(self, name: str, image: np.ndarray, step: int = 0, fps: int = 4, out_type: OutType = "img") -> None:
        """Record a clip as it is.

        Args:
            name: of the clip.
            image: (T, H, W, 3) uint8, RGB for "img", else BGR.
            step: of the run.
            fps: frames a second.
            out_type: see `add_datasample`.
        """
        self._record(name, image if out_type == "img" else image[..., ::-1], step, fps, out_type)

    def _record(self, name: str, frames: np.ndarray, step: int, fps: int, out_type: OutType) -> None:
        for backend in self._vis_backends.values():
            backend.add_video(name, frames, step, fps, out_type)

    def _lines(self, sample: ActionDataSample | None, draw_gt: bool, draw_pred: bool, draw_score: bool) -> list[str]:
        lines = []
        if sample is not None and draw_gt and "gt_label" in sample:
            lines.append(f"Ground truth: {self._names(np.asarray(sample.gt_label).reshape(-1).tolist())}")
        if sample is not None and draw_pred and "pred_label" in sample:
            lines.append(f"Prediction: {self._names(np.asarray(sample.pred_label).reshape(-1).tolist())}")
        if sample is not None and draw_pred and draw_score and "pred_score" in sample:
            scores = np.asarray(sample.pred_score, dtype=float).reshape(-1)
            best = np.argsort(-scores, kind="stable")[:_MOST_SCORES].tolist()
            lines += [f"{scores[number]:.2f} {self._names([number])}" for number in best]
        return lines

    def _names(self, labels: list[int]) -> str:
        classes = (self.dataset_meta or {}).get("classes")
        return ", ".join(str(classes[label]) if classes is not None else str(label) for label in labels)

    def _drawn(self, frame: np.ndarray, text: str, text_cfg: Mapping[str, Any]) -> np.ndarray:
        scale = adaptive_scale(frame.shape[:2])
        options = {
            "positions": np.array([[int(scale * 5)] * 2]),
            "font_sizes": int(scale * 7),
            "font_families": "monospace",
            "colors": "white",
            "bboxes": {"facecolor": "black", "alpha": 0.5, "boxstyle": "Round"},
            **text_cfg,
        }
        self.set_image(np.ascontiguousarray(frame))
        self.draw_texts(text, **options)
        return self.get_image()


def adaptive_scale(img_shape: tuple[int, ...], min_scale: float = 0.3, max_scale: float = 3.0) -> float:
    """How large to draw on an image of (height, width), from `min_scale` to `max_scale`; 1 for short sides of 224."""
    return min(max(min(img_shape) / _USUAL_SIDE, min_scale), max_scale)


def _read(path: str) -> list[np.ndarray]:
    """All frames of a file or a folder of images, (H, W, 3) RGB."""
    if Path(path).is_dir():
        folder = FrameFolder(path)
        return list(folder.decode(np.arange(folder.num_frames)))
    with VideoReader(path) as reader:
        return list(reader.get_batch(np.arange(len(reader))))


def _size_within(shape: tuple[int, ...], resolution: tuple[int, int]) -> tuple[int, int]:
    """(width, height) that is asked for; a side of -1 follows from the other."""
    height, width = shape
    new_width, new_height = resolution
    if new_width == -1 and new_height == -1:
        return width, height
    if new_width == -1:
        new_width = round(width * new_height / height)
    elif new_height == -1:
        new_height = round(height * new_width / width)
    return new_width, new_height
