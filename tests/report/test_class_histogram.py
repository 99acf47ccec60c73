import cv2
import pytest

from kinema.report.class_histogram import draw_class_histogram


@pytest.mark.parametrize("num_classes", [1, 5, 300])
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_few_and_many_classes_are_drawn(tmp_path, num_classes, suffix):
    counts = {"train": list(range(num_classes)), "val": [1] * num_classes}
    draw_class_histogram(tmp_path / f"a{suffix}", [f"class {index}" for index in range(num_classes)], counts)
    assert (tmp_path / f"a{suffix}").stat().st_size > 5000


def test_a_suffix_of_no_picture_is_told(tmp_path):
    with pytest.raises(ValueError, match="Format 'mp3' is not supported"):
        draw_class_histogram(tmp_path / "a.mp3", ["a"], {"all": [1]})


@pytest.mark.parametrize("name", ["$\\frac{$", "$x$", "\x1b[31mred\n", "\udcb6\udcaf", "a & <b>"])
def test_names_are_drawn_as_they_are(tmp_path, name):
    draw_class_histogram(tmp_path / "few.svg", [name, "ok"], {name: [1, 2]})
    draw_class_histogram(tmp_path / "many.svg", [name] * 100, {name: [1] * 100})
    assert b"\x1b" not in (tmp_path / "few.svg").read_bytes()


def test_a_long_name_leaves_room_for_its_bar_and_letters_without_a_font_are_boxes(tmp_path):
    draw_class_histogram(tmp_path / "a.png", ["x" * 200, "打篮球", "\U00012401"], {"all": [3, 2, 1]})  # no warning
    picture = cv2.imread(str(tmp_path / "a.png"))
    bars = (picture == [235, 99, 37]).all(axis=2).sum(axis=1)  # #2563eb, blue first
    assert bars.max() > 0.4 * picture.shape[1]
