"""NaiveVisualizationHook hands images of a test to the visualizer."""

from types import SimpleNamespace

import numpy as np
import torch

from kinema.compat.parts.hooks.naive_visualization import NaiveVisualizationHook
from kinema.structures import BaseDataElement


def test_images_are_unpadded_resized_and_drawn_at_the_interval() -> None:
    drawn = []
    visualizer = SimpleNamespace(add_datasample=lambda *arguments: drawn.append(arguments))
    runner = SimpleNamespace(visualizer=visualizer)
    inputs = torch.zeros(1, 3, 6, 8)
    inputs[:, 0, :4, :4] = 0.5  # red, in the corner that is not padding
    shapes = {"pad_shape": (6, 8, 3), "scale": (4, 4), "ori_width": 2, "ori_height": 3}
    colours = {"mean": (0.0, 0.0, 0.0), "std": (2.0, 1.0, 1.0), "to_bgr": True}
    sample = BaseDataElement(metainfo={**shapes, "img_norm_cfg": colours, "img_path": "a/b.jpg"})
    hook = NaiveVisualizationHook(2, draw_gt=False)
    for batch in range(2):
        hook.after_test_iter(runner, batch, [{"inputs": inputs, "data_sample": sample}], ["predicted"])
    ((name, image, known, predicted, *which),) = drawn
    assert (name, image.shape, known, predicted, which) == ("b.jpg", (3, 2, 3), sample, "predicted", [False, True])
    np.testing.assert_allclose(image, np.broadcast_to([0.0, 0.0, 1.0], (3, 2, 3)))
