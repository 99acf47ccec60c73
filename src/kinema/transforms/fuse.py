"""Doing the lazy steps."""

from kinema.errors import SampleValueError
from kinema.registry import TRANSFORMS
from kinema.transforms.base import BaseTransform, Sample
from kinema.transforms.cropping import crop_frames
from kinema.transforms.geometry import mirror_clip, resize_frames


@TRANSFORMS.register_module()
class Fuse(BaseTransform):
    """Do what crops, resizes and a flip with `lazy=True` wrote down: cut once, resize once, mirror.

    Reads `imgs`, `img_shape`, `lazy`, `modality`. Writes `imgs`; `lazy` is removed.

    Raises:
        SampleValueError: no lazy step came before it.
    """

    def transform(self, results: Sample) -> Sample:
        if "lazy" not in results:
            raise SampleValueError(
                "Fuse: no lazy step came before it: give lazy=True to the crops, resizes and the flip"
            )
        steps = results["lazy"]
        left, top, right, bottom = steps["crop_bbox"].round().astype(int).tolist()
        height, width = results["img_shape"]
        frames = crop_frames(results["imgs"], (left, top, right, bottom))
        frames = resize_frames(frames, (width, height), steps["interpolation"] or "bilinear")
        if steps["flip"]:
            direction = steps["flip_direction"] or "horizontal"
            frames = mirror_clip(frames, direction, results.get("modality", "RGB"))
        results["imgs"] = frames
        del results["lazy"]
        return results

    def __repr__(self) -> str:
        return "Fuse()"
