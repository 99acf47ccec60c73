"""Boxes on images, under mmcv's names."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from kinema.compat.parts.images import drawing
from kinema.errors import KinemaError


def test_a_colour_has_many_forms() -> None:
    for color in ("green", drawing.Color.green, (0, 255, 0), np.array([0, 255, 0])):
        assert drawing.color_val(color) == (0, 255, 0)
    assert drawing.color_val(7) == (7, 7, 7)
    for wrong in ((1, 2), (1, 2, 256), -1, np.array([[1, 2, 3]]), np.array([-1, 2, 3])):
        with pytest.raises(ValueError, match="a colour must be three numbers from 0 to 255"):
            drawing.color_val(wrong)
    with pytest.raises(ValueError, match="a colour must be one of red, green, .*, got 'pink'"):
        drawing.color_val("pink")
    with pytest.raises(TypeError, match="a name, a tuple, an array or a grey level, got float"):
        drawing.color_val(0.5)


def test_boxes_are_drawn(tmp_path: Path) -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    boxes = np.array([[5, 8, 20, 30, 0.9], [30, 8, 50, 30, 0.2]])
    drawn = drawing.imshow_bboxes(image, [boxes[:1], boxes[1:]], ["red", (1, 2, 3)], show=False)
    assert drawn is image
    assert image[8, 5].tolist() == image[30, 20].tolist() == [0, 0, 255]
    assert image[8, 40].tolist() == [1, 2, 3]
    assert drawing.imshow_bboxes(np.zeros_like(image), boxes, top_k=1, show=False)[8, 40].tolist() == [0, 0, 0]
    file = tmp_path / "a.png"
    named = drawing.imshow_det_bboxes(
        np.zeros_like(image), boxes, np.array([0, 1]), ["cat", "dog"], 0.5, "blue", show=False, out_file=file
    )
    expected = np.zeros_like(image)
    cv2.rectangle(expected, (5, 8), (20, 30), (255, 0, 0), thickness=1)
    cv2.putText(expected, "cat|0.90", (5, 6), cv2.FONT_HERSHEY_COMPLEX, 0.5, (0, 255, 0))
    assert np.array_equal(named, expected)
    assert np.array_equal(cv2.imread(str(file)), expected)


def test_what_cannot_be_drawn_is_refused() -> None:
    image, boxes, labels = np.zeros((4, 4, 3), np.uint8), np.zeros((2, 4)), np.zeros(2, int)
    with pytest.raises(ValueError, match="one for each of the 1 arrays of boxes, got 2"):
        drawing.imshow_bboxes(image, boxes, ["red", "green"], show=False)
    with pytest.raises(ValueError, match=r"labels \(N,\), got \(2, 4\) and \(1,\)"):
        drawing.imshow_det_bboxes(image, boxes, labels[:1], show=False)
    with pytest.raises(ValueError, match=r"score_thr=0.5 needs boxes with scores, \(N, 5\), got \(2, 4\)"):
        drawing.imshow_det_bboxes(image, boxes, labels, score_thr=0.5, show=False)


@pytest.mark.skipif("GUI:                           NONE" not in cv2.getBuildInformation(), reason="OpenCV has windows")
@pytest.mark.parametrize("show", [drawing.imshow, lambda image: drawing.flowshow(image[..., :2].astype(float))])
def test_without_windows_there_is_a_way_out(show: Any) -> None:
    with pytest.raises(KinemaError, match="cannot open windows: use show=False and out_file"):
        show(np.zeros((4, 4, 3), np.uint8))
