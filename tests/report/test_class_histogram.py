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
