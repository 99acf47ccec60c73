import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.config import Config
from kinema.registry import VISUALIZERS
from kinema.runs import BaseVisBackend
from kinema.visualization import Visualizer

GREY = np.full((20, 30, 3), 100, np.uint8)


@pytest.fixture
def visualizer() -> Visualizer:
    return Visualizer(image=GREY)


class Recorder(BaseVisBackend):
    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir)
        self.calls: list[str] = []

    def add_config(self, config, **kwargs) -> None:
        self.calls.append("config")

    def add_graph(self, model, data_batch, **kwargs) -> None:
        self.calls.append("graph")

    def add_image(self, name, image, step=0, **kwargs) -> None:
        self.calls.append(f"image {name} {step}")

    def add_scalar(self, name, value, step=0, **kwargs) -> None:
        self.calls.append(f"{name} {value} {step}")

    def add_scalars(self, scalar_dict, step=0, file_path=None, **kwargs) -> None:
        self.calls.append(f"{scalar_dict} {step}")

    def close(self) -> None:
        self.calls.append("close")


def test_an_image_is_kept_pixel_by_pixel() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (21, 34, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Visualizer(image=noise).get_image(), noise)
    np.testing.assert_array_equal(Visualizer(image=noise[..., 0]).get_image()[..., 1].shape, (21, 34))


def test_shapes_are_drawn_where_and_as_they_are_meant(visualizer: Visualizer) -> None:
    boxes = torch.tensor([[2.0, 2, 8, 8]])
    drawn = visualizer.draw_bboxes(boxes, face_colors=(255, 0, 0), edge_colors="none", alpha=1).get_image()
    assert drawn[5, 5].tolist() == [255, 0, 0]
    assert drawn[15, 20].tolist() == [100, 100, 100]
    visualizer.set_image(GREY)
    visualizer.draw_circles(
        np.array([[20, 10], [5, 5]]), np.array([4, 2]), face_colors=["b", "lime"], edge_colors="none", alpha=1
    )
    visualizer.draw_polygons([np.array([[10, 10], [14, 10], [14, 19], [10, 19]])], face_colors="r", alpha=1.0)
    visualizer.draw_lines(np.array([0, 30]), np.array([1.5, 1.5]), colors=(255, 255, 0), line_widths=3)
    visualizer.draw_points(np.array([27, 17]), colors="k", sizes=[9], marker="s")
    drawn = visualizer.get_image()
    pixels = [drawn[10, 20], drawn[5, 5], drawn[15, 12], drawn[1, 25], drawn[17, 27]]
    assert [pixel.tolist() for pixel in pixels] == [[0, 0, 255], [0, 255, 0], [255, 0, 0], [255, 255, 0], [0, 0, 0]]
    before = visualizer.get_image()
    assert (visualizer.draw_texts("text", np.array([3, 12]), colors="w").get_image() != before).any()


def test_masks_are_mixed_with_the_image(visualizer: Visualizer) -> None:
    mask = np.zeros((20, 30), bool)
    mask[:10] = True
    drawn = visualizer.draw_binary_masks(torch.from_numpy(mask), colors=(0, 0, 255), alphas=0.5).get_image()
    assert (drawn[0, 0].tolist(), drawn[15, 0].tolist()) == ([50, 50, 178], [100, 100, 100])


def test_what_cannot_be_drawn_is_an_error(visualizer: Visualizer) -> None:
    draw = visualizer.draw_bboxes
    for call, error, message in [
        (lambda: visualizer.set_image(None), TypeError, "image must be an array, got NoneType"),
        (lambda: Visualizer().get_image(), ValueError, "there is no image to draw on: call set_image first"),
        (lambda: draw(torch.tensor([5, 1, 2, 2])), ValueError, "must be left, top, right, bottom"),
        (lambda: draw([1, 1, 2, 2]), TypeError, "bboxes must be a tensor or array of numbers, got list"),
        (lambda: draw(np.zeros(3)), ValueError, r"bboxes must have the shape \(4,\) or \(K, 4\), got \(3,\)"),
        (lambda: draw(np.zeros(4), edge_colors=(1,)), TypeError, "a color is a name or a tuple"),
        (lambda: visualizer.draw_texts(["a"], np.zeros((2, 2))), ValueError, "need one text a position"),
        (lambda: visualizer.draw_texts(["a", "b"], np.zeros((2, 2)), font_sizes=[1]), ValueError, "1 values for 2"),
        (lambda: visualizer.draw_circles(np.zeros(2), np.ones(2)), ValueError, "one radius a center, got 2 for 1"),
        (lambda: visualizer.draw_lines(np.zeros(2), np.zeros((2, 2))), ValueError, "must be of one shape"),
        (lambda: visualizer.draw_binary_masks(np.zeros((2, 2))), ValueError, "binary_masks must be bool, got float64"),
        (lambda: visualizer.draw_binary_masks(np.zeros((2, 2), bool)), ValueError, "must be of the image's size"),
    ]:
        with pytest.raises(error, match=message):
            call()
    with pytest.warns(UserWarning, match="The bbox is out of bounds: the image has 30 x 20 pixels"):
        draw(torch.tensor([1, 1, 99, 2]))


def test_a_feature_map_is_blue_where_low_and_red_where_high(caplog: pytest.LogCaptureFixture) -> None:
    rising = torch.linspace(0, 1, 8).expand(2, 4, 8) * torch.tensor([1.0, 3.0])[:, None, None]
    drawn = Visualizer.draw_featmap(rising)
    assert drawn.shape == (4, 8, 3)
    assert drawn[0, 0].argmax() == 2
    assert drawn[0, -1].argmax() == 0
    np.testing.assert_array_equal(Visualizer.draw_featmap(rising, channel_reduction="select_max"), drawn)
    assert Visualizer.draw_featmap(rising, GREY, resize_shape=(6, 9)).shape == (6, 9, 3)
    assert "is resized to the image" in caplog.text
    assert Visualizer.draw_featmap(rising[:1], channel_reduction=None, topk=-1).shape == (4, 8, 3)
    tiles = Visualizer.draw_featmap(rising, channel_reduction=None, topk=2, arrangement=(1, 2))
    assert tiles.shape == (4, 16, 3)


@pytest.mark.parametrize(
    ("featmap", "options", "error", "message"),
    [
        (np.zeros((1, 2, 2)), {}, TypeError, "featmap must be a torch.Tensor, got ndarray"),
        (torch.zeros(1, 1, 2, 2), {}, ValueError, r"featmap must have the shape \(C, H, W\), got \(1, 1, 2, 2\)"),
        (torch.zeros(1, 2, 2), {"channel_reduction": "sum"}, ValueError, "or None, got 'sum'"),
        (torch.zeros(6, 2, 2), {"channel_reduction": None, "topk": 0}, ValueError, "1 or 3 channels, got 6"),
        (torch.zeros(6, 2, 2), {"channel_reduction": None, "topk": 21}, ValueError, "no room for topk=21"),
    ],
)
def test_a_feature_map_that_cannot_be_drawn_is_an_error(featmap, options, error, message) -> None:
    with pytest.raises(error, match=message):
        Visualizer.draw_featmap(featmap, **options)


def test_everything_goes_to_all_backends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = Recorder("here")
    local = dict(type="LocalVisBackend", name="files")
    visualizer = VISUALIZERS.build(dict(type="Visualizer", vis_backends=[first, local], save_dir=tmp_path))
    assert visualizer.get_backend("Recorder") is first
    assert visualizer.get_backend("files")._save_dir == str(tmp_path / "vis_data")
    visualizer.add_config(Config({"a": 1}))
    visualizer.add_graph(None, None)
    visualizer.add_image("a", GREY, step=3)
    visualizer.add_scalar("x", 1.5, step=2)
    visualizer.add_scalars({"y": 2}, step=1)
    visualizer.close()
    assert first.calls == ["config", "graph", "image a 3", "x 1.5 2", "{'y': 2} 1", "close"]
    assert sorted(path.name for path in (tmp_path / "vis_data").iterdir()) == ["config.py", "scalars.json", "vis_image"]
    assert Visualizer(vis_backends=[local]).get_backend("files") is None
    assert "LocalVisBackend is left out: the visualizer has no save_dir" in caplog.text
    with pytest.raises(ValueError, match="two backends are called Recorder: give each a name of its own"):
        Visualizer(vis_backends=[first, first])
    with pytest.raises(TypeError, match="vis_backends must be a list of backends or configs, got str"):
        Visualizer(vis_backends="files")
    with pytest.raises(TypeError, match="a backend needs the methods of BaseVisBackend, int has none"):
        Visualizer(vis_backends=[3])


def test_visualizers_are_known_by_name_those_of_subclasses_too() -> None:
    class Own(Visualizer):
        pass

    own = Own.get_instance("own of the test")
    assert Visualizer.get_current_instance() is own is Visualizer.get_instance("own of the test")
    own.dataset_meta = {"classes": ["a"]}
    assert own.dataset_meta == {"classes": ["a"]}
    del Visualizer._instance_dict["own of the test"]


def test_without_a_screen_nothing_is_shown(visualizer: Visualizer, caplog: pytest.LogCaptureFixture) -> None:
    import matplotlib

    matplotlib.use("agg")
    caplog.set_level(logging.WARNING)
    visualizer.show(win_name="clip")
    assert "there is no screen to show 'clip' on" in caplog.text
    with pytest.raises(ValueError, match="backend must be 'matplotlib', got 'cv2'"):
        visualizer.show(backend="cv2")
