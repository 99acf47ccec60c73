"""Folders of numbered images as videos."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from kinema.errors import VideoError
from kinema.video import FrameFolder, open_backend
from kinema.video.backends.frame_folder import find_template, numbers_of
from kinema.video.images import read_image


@pytest.fixture
def write_images(tmp_path: Path) -> Callable[..., Path]:
    """Write flat images into a folder: level 10 times the place among the names; returns the folder."""

    def write(*names: str, size: tuple[int, int] = (8, 6)) -> Path:
        for place, name in enumerate(names):
            cv2.imwrite(str(tmp_path / name), np.full((size[1], size[0], 3), 10 * place, np.uint8))
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("names", "template", "first"),
    [
        (["img_00001.jpg", "img_00002.jpg", "notes.txt"], "img_{:05}.jpg", 1),
        (["000000.png", "000001.png"], "{:06}.png", 0),
        (["f8.jpg", "f9.jpg", "f10.jpg"], "f{}.jpg", 8),
        (["a_9_98.PNG", "a_9_99.PNG", "a_9_100.PNG"], "a_9_{:02}.PNG", 98),
        (["img_00001.jpg", "flow_x_00001.jpg", "flow_y_00001.jpg"], "img_{:05}.jpg", 1),
        (["{a}_1.jpg"], "{{a}}_{}.jpg", 1),
        (["max_1.jpg"], "max_{}.jpg", 1),
    ],
)
def test_how_colour_frames_are_named_is_found(
    names: list[str], template: str, first: int, write_images: Callable[..., Path]
) -> None:
    assert find_template(names, "RGB") == template
    folder = FrameFolder(write_images(*[name for name in names if not name.endswith("txt")]))
    assert (folder.filename_tmpl, folder.start_index) == (template, first)


@pytest.mark.parametrize(
    ("names", "template"),
    [
        (["flow_x_00001.jpg", "flow_y_00001.jpg", "img_00001.jpg"], "flow_{}_{:05}.jpg"),
        (["x_00001.jpg", "y_00001.jpg"], "{}_{:05}.jpg"),
        (["x7.png", "y7.png"], "{}{}.png"),
    ],
)
def test_how_flow_frames_are_named_is_found(names: list[str], template: str) -> None:
    assert find_template(names, "Flow") == template


def test_frames_are_read_by_number_from_the_first_file_on(write_images: Callable[..., Path]) -> None:
    folder = FrameFolder(write_images(*(f"img_{number:05}.png" for number in range(3, 9))), fps=5)
    assert (folder.num_frames, folder.width, folder.height, folder.fps) == (6, 8, 6, 5.0)
    frames = folder.decode(np.array([0, 2, 5]))
    assert (frames.shape, frames.dtype) == ((3, 6, 8, 3), np.uint8)
    assert frames.mean(axis=(1, 2, 3)).tolist() == [0, 20, 50]
    assert folder.timestamps_seconds.tolist() == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    folder.close()


def test_a_folder_is_opened_by_the_name_frames_too(write_images: Callable[..., Path]) -> None:
    assert open_backend("frames", write_images("1.png", "2.png")).decode(np.array([1])).mean() == 10


def test_colours_are_red_green_blue(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.full((6, 8, 3), (1, 2, 3), np.uint8))  # OpenCV writes blue first
    assert FrameFolder(tmp_path).decode(np.array([0]))[0, 0, 0].tolist() == [3, 2, 1]


def test_flow_has_x_and_y_of_a_frame_in_two_channels(write_images: Callable[..., Path]) -> None:
    path = write_images("flow_x_00001.png", "flow_x_00002.png", "flow_y_00001.png", "flow_y_00002.png")
    folder = FrameFolder(path, modality="Flow")
    frames = folder.decode(np.array([0, 1]))
    assert frames.shape == (2, 6, 8, 2)
    assert frames[:, 0, 0].tolist() == [[0, 20], [10, 30]]
    again = FrameFolder(path, "flow_{0}_{1:05}.png", modality="Flow")
    assert np.array_equal(again.decode(np.array([1])), frames[1:])


def test_a_given_template_chooses_among_several_kinds(write_images: Callable[..., Path]) -> None:
    path = write_images("a_1.png", "b_1.png", "b_2.png")
    with pytest.raises(
        VideoError, match=r"several kinds of RGB frames, \['a_{}.png', 'b_{}.png'\]: say which by filename_tmpl"
    ):
        FrameFolder(path)
    assert FrameFolder(path, "b_{}.png").num_frames == 2
    with pytest.raises(VideoError, match=r"there is no file named like 'c_00001\.png'"):
        FrameFolder(path, "c_{:05}.png")


def test_a_missing_number_is_named(write_images: Callable[..., Path]) -> None:
    path = write_images("img_1.png", "img_2.png", "img_4.png")
    with pytest.raises(VideoError, match=r"img_3\.png is missing, there are frames up to number 4"):
        FrameFolder(path)


def test_flow_without_its_other_half_is_named(write_images: Callable[..., Path]) -> None:
    path = write_images("x_1.png", "y_1.png", "x_2.png")
    with pytest.raises(VideoError, match=r"y_2\.png is missing"):
        FrameFolder(path, modality="Flow")


def test_images_of_two_sizes_are_an_error(write_images: Callable[..., Path]) -> None:
    path = write_images("x_1.png", "y_1.png")
    write_images("x_2.png", "y_2.png", size=(10, 6))
    with pytest.raises(VideoError, match=r"x_2\.png: is 10x6, the first frame is 8x6"):
        FrameFolder(path, modality="Flow").decode(np.array([1]))
    write_images("y_2.png", size=(4, 6))
    with pytest.raises(VideoError, match=r"y_2\.png: is 4x6, x_2\.png is 10x6"):
        FrameFolder(path, modality="Flow").decode(np.array([1]))


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "img_1.jpg").write_text("no image")
    with pytest.raises(VideoError, match=r"img_1\.jpg: expected an image file"):
        FrameFolder(tmp_path).decode(np.array([0]))
    with pytest.raises(VideoError, match=r"gone\.jpg: the image cannot be read: No such file"):
        read_image(tmp_path / "gone.jpg")


def test_what_is_no_folder_of_frames_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="holds no RGB frames: expected numbered images such as img_00001.jpg"):
        FrameFolder(tmp_path)
    with pytest.raises(
        VideoError, match="holds no Flow frames: expected numbered images such as flow_x_00001.jpg with"
    ):
        FrameFolder(tmp_path, modality="Flow")
    with pytest.raises(VideoError, match="absent: no such folder"):
        FrameFolder(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(VideoError, match="file: is a file, not a folder of frames"):
        FrameFolder(tmp_path / "file")
    with pytest.raises(VideoError, match="3 bytes>: no such folder"):
        open_backend("frames", b"abc")


def test_times_need_a_frame_rate(write_images: Callable[..., Path]) -> None:
    folder = FrameFolder(write_images("1.png"))
    assert folder.fps == 0.0
    with pytest.raises(VideoError, match=r"a folder of frames has no times: open it as FrameFolder\(path, fps="):
        _ = folder.timestamps_seconds


def test_wrong_arguments_are_refused(write_images: Callable[..., Path]) -> None:
    path = write_images("1.png")
    with pytest.raises(ValueError, match="modality must be 'RGB' or 'Flow', got 'flow'"):
        FrameFolder(path, modality="flow")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="fps must not be negative, got -1"):
        FrameFolder(path, fps=-1)
    for template in ("img.jpg", "{}_{}.jpg", "{number}.jpg"):
        with pytest.raises(ValueError, match=r"filename_tmpl must be like 'img_{:05}\.jpg', got "):
            numbers_of(["1.png"], template, "")
    with pytest.raises(ValueError, match=r"filename_tmpl must be like 'flow_{}_{:05}\.jpg', got 'img_{}\.jpg'"):
        FrameFolder(path, "img_{}.jpg", modality="Flow")
