"""`NaiveVisualizationHook`: images of a test, with what is known and predicted of them drawn in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

from kinema.compat.parts.torch_tools import tensor2imgs
from kinema.hooks import Hook
from kinema.registry import HOOKS


@HOOKS.register_module()
class NaiveVisualizationHook(Hook):
    """Hand images of a test to the visualizer of the run: unpadded, in their own size and colours.

    Args:
        interval: draw the images of every so many batches.
        draw_gt: draw what is known of them.
        draw_pred: draw what is predicted.
    """

    priority = "NORMAL"

    def __init__(self, interval: int = 1, draw_gt: bool = True, draw_pred: bool = True) -> None:
        self._interval, self.draw_gt, self.draw_pred = interval, draw_gt, draw_pred

    def before_train(self, runner: Any) -> None:
        """Hand the network to the visualizer."""
        runner.visualizer.add_graph(runner.model, None)

    def after_test_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Sequence[Mapping[str, Any]] | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> None:
        """Draw a batch, a list of `dict(inputs=(1, 3, H, W), data_sample=...)`."""
        if not self.every_n_inner_iters(batch_idx, self._interval):
            return
        for entry, output in zip(data_batch or (), outputs or (), strict=False):
            sample = entry["data_sample"]
            image = tensor2imgs(entry["inputs"], **sample.get("img_norm_cfg", {}))[0]
            size = (sample.ori_width, sample.ori_height)
            if "pad_shape" in sample:
                width, height = sample.get("scale", size)
                image = image[:height, :width]
            if "scale" in sample:
                image = cv2.resize(image, size)
            name = Path(sample.img_path).name
            runner.visualizer.add_datasample(name, image, sample, output, self.draw_gt, self.draw_pred)
