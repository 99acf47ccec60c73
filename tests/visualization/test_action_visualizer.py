from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from kinema.errors import VideoError
from kinema.registry import VISUALIZERS
from kinema.structures import ActionDataSample
from kinema.video import VideoReader
from kinema.visualization import ActionVisualizer
from kinema.visualization.action_visualizer import adaptive_scale

RED = np.zeros((3, 60, 80, 3), np.uint8)
RED[..., 0] = 200


@pytest.fixture
def visualizer(tmp_path: Path) -> ActionVisualizer:
    return VISUALIZERS.build(
        dict(type="ActionVisualizer", vis_backends=[dict(type="LocalVisBackend")], save_dir=tmp_path)
    )


def sample() -> ActionDataSample:
    return ActionDataSample().set_gt_label(1).set_pred_label(0).set_pred_score(torch.tensor([0.7, 0.3]))


def test_frames_go_to_the_backend_as_they_look(visualizer: ActionVisualizer, tmp_path: Path) -> None:
    drawn = visualizer.add_datasample("clip", RED, sample(), step=4)
    assert drawn.shape == RED.shape
    assert drawn[0, -1, -1].tolist() == [200, 0, 0]
    files = sorted((tmp_path / "vis_data" / "clip" / "frames_4").iterdir())
    assert [file.name for file in files] == ["0.png", "1.png", "2.png"]
    np.testing.assert_array_equal(cv2.imread(str(files[1]))[..., ::-1], drawn[1])


def test_files_have_the_colours_of_the_clip(
    visualizer: ActionVisualizer, tmp_path: Path, make_video: Callable[..., Path]
) -> None:
    visualizer.add_datasample("a", list(RED[..., ::-1]), sample(), out_type="video", fps=9)
    with VideoReader(tmp_path / "vis_data" / "a.mp4") as reader:
        assert reader.fps == pytest.approx(9)
        assert reader.get_batch([0])[0, -5, -5, 0] > 150
    visualizer.add_datasample("b", RED[..., ::-1], out_type="gif", out_path=tmp_path / "out" / "b")
    assert (tmp_path / "out" / "b.gif").is_file()
    visualizer.add_video("c", RED)
    assert cv2.imread(str(tmp_path / "vis_data" / "c" / "frames_0" / "0.png"))[0, 0].tolist() == [0, 0, 200]
    path = make_video(num_frames=5)
    drawn = visualizer.add_datasample("d", str(path), target_resolution=(40, -1), rescale_factor=0.5)
    with VideoReader(path) as reader:
        height, width = reader.get_batch([0]).shape[1:3]
    assert drawn.shape == (5, round(round(height * 40 / width) * 0.5), 20, 3)
    folder = tmp_path / "vis_data" / "c" / "frames_0"
    assert visualizer.add_datasample("e", str(folder), target_resolution=(-1, 30)).shape == (3, 30, 40, 3)
    assert visualizer.add_datasample("e", str(folder), target_resolution=(-1, -1))[0, -1, -1].tolist() == [0, 0, 200]


def test_labels_and_scores_are_drawn_where_they_are_asked_for(visualizer: ActionVisualizer) -> None:
    texts: list[str] = []
    visualizer.draw_texts = lambda text, **options: texts.append(text)  # type: ignore[method-assign, assignment]
    visualizer.add_datasample("a", RED[:1], sample())
    visualizer.dataset_meta = {"classes": ["left", "right"]}
    visualizer.add_datasample("a", RED[:1], sample(), draw_gt=False)
    visualizer.add_datasample("a", RED[:1], sample(), draw_score=False)
    visualizer.add_datasample("a", RED[:1], sample(), draw_pred=False, draw_gt=False)
    assert [text.splitlines()[1:] for text in texts] == [
        ["Ground truth: 1", "Prediction: 0", "0.70 0", "0.30 1"],
        ["Prediction: left", "0.70 left", "0.30 right"],
        ["Ground truth: right", "Prediction: left"],
        [],
    ]
    assert texts[0].splitlines()[0] == "Frame 0 of total 1 frames"


def test_what_is_no_clip_is_refused(visualizer: ActionVisualizer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="out_type must be one of img, gif, video, got 'png'"):
        visualizer.add_datasample("a", RED, out_type="png")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a clip is an array, a list of frames or a path, got int"):
        visualizer.add_datasample("a", 3)  # type: ignore[arg-type]
    with pytest.raises(VideoError, match=r"none\.mp4"):
        visualizer.add_datasample("a", str(tmp_path / "none.mp4"))


@pytest.mark.parametrize(
    ("shape", "scale"), [((64, 96), 0.3), ((224, 300), 1.0), ((720, 1280), 3.0), ((448, 448), 2.0)]
)
def test_texts_grow_with_the_frame_within_limits(shape: tuple[int, int], scale: float) -> None:
    assert adaptive_scale(shape) == scale
