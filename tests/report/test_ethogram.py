import cv2
import numpy as np
import pytest

from kinema.report.ethogram import COLOURS, EthogramVideo, _drawn_spans, _tick_seconds, write_ethogram
from kinema.structures import Segment

RED_BLUE = [Segment(0, 4, "a"), Segment(6, 10, "b")]


def rgb(colour):
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def columns_of(image, colour):
    """(W,) bool: does a column of the picture hold the colour?"""
    return (np.abs(image[..., ::-1].astype(int) - rgb(colour)).max(-1) < 8).any(0)


def test_bars_stand_at_their_times_in_a_row_a_class(tmp_path):
    write_ethogram(tmp_path / "e.png", [EthogramVideo("v.mp4", 10, RED_BLUE)])
    image = cv2.imread(str(tmp_path / "e.png"))
    first, second = (np.flatnonzero(columns_of(image, COLOURS[place])) for place in (0, 1))
    assert first.max() < second.min()
    seconds = (second.max() - first.min()) / 10  # pixels
    assert (first.max() - first.min()) / seconds == pytest.approx(4, abs=0.05)
    assert (second.min() - first.min()) / seconds == pytest.approx(6, abs=0.05)


@pytest.mark.parametrize("suffix", ["svg", "pdf", "png"])
def test_many_videos_with_hostile_names_are_drawn_and_the_same_each_time(tmp_path, suffix):
    segments = [Segment(1, 2, "$x^2$ </script>"), Segment(1.5, 3, "日本\x1b[31m"), Segment(0, 9, "n" * 400)]
    videos = [EthogramVideo(f"</svg><b onload=x>&{place}\n.mp4", 9.0 + place, segments) for place in range(3)]
    for name in ("first", "second"):
        write_ethogram(tmp_path / f"{name}.{suffix}", videos)
    content = (tmp_path / f"first.{suffix}").read_bytes()
    assert content == (tmp_path / f"second.{suffix}").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"first.{suffix}", f"second.{suffix}"]
    if suffix == "svg":
        text = content.decode()
        assert "$x^2$ &lt;/script&gt;" in text
        assert "日本\\x1b[31m" in text
        assert "&lt;/svg&gt;&lt;b onload=x&gt;&amp;0\\n.mp4" in text
        assert "n" * 40 not in text


def test_what_is_nearer_than_a_pixel_is_one_bar_so_that_the_picture_stays_small(tmp_path):
    segments = [Segment(place / 100, (place + 0.5) / 100, "a") for place in range(20_000)]
    assert len(list(_drawn_spans(segments, 200))) == 1
    far = [Segment(0, 0.001, "a"), Segment(500, 501, "a")]
    assert list(_drawn_spans(far, 2400)) == [(0, 1), (500, 1)]
    write_ethogram(tmp_path / "e.svg", [EthogramVideo("v", 200, segments)])
    assert (tmp_path / "e.svg").stat().st_size < 30_000


def test_what_is_not_drawn_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("kinema.report.ethogram.MOST_ROWS", 5)
    segments = [Segment(place / 40, 1 + place, f"class {place}") for place in range(40)]
    videos = [EthogramVideo(f"{place}.mp4", 45, segments[place::10]) for place in range(10)]
    write_ethogram(tmp_path / "e.svg", videos)
    text = (tmp_path / "e.svg").read_text()
    assert "and 5 more videos, not drawn" in text
    assert "8 other classes" in text
    write_ethogram(tmp_path / "c.svg", videos[:2], classes=[f"class {place}" for place in range(6)], rows="classes")
    text = (tmp_path / "c.svg").read_text()
    assert "and 1 more class, not drawn" in text
    assert "and 1 more video, not drawn" in text


def test_of_hundreds_of_classes_those_that_are_there_longest_have_rows_in_colour(tmp_path):
    segments = [Segment(place, place + 0.5 + 10 * (place % 4 == 3), f"class {place}") for place in range(400)]
    write_ethogram(tmp_path / "e.svg", [EthogramVideo("v.mp4", 420, segments)])
    text = (tmp_path / "e.svg").read_text()
    assert "and 280 more classes, not drawn" in text
    assert all(f">class {place}<" in text for place in range(3, 400, 4))
    assert "#9ca3af" not in text, "names stand beside the rows, so colours may come again"


def test_an_empty_video_is_a_picture_too(tmp_path):
    write_ethogram(tmp_path / "e.png", [EthogramVideo("v.mp4", 10, [])])
    write_ethogram(tmp_path / "f.png", [EthogramVideo("v.mp4", 10, [])] * 2, classes=["a", "b"])
    assert {path.name for path in tmp_path.iterdir()} == {"e.png", "f.png"}


@pytest.mark.parametrize(
    ("duration", "step"),
    [(0.4, 0.05), (9, 1), (12.3, 2), (170, 20), (600, 60), (5000, 600), (9000, 900), (90_000, 10_800), (10**7, 10**6)],
)
def test_the_axis_has_round_steps(duration, step):
    assert duration / _tick_seconds(duration) <= 10
    assert step / 2 <= _tick_seconds(duration) <= 2 * step


def test_wrong_suffixes_and_no_videos_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"e\.jpeg: an ethogram is a picture: expected the suffix \.png, \.svg, \.pdf"):
        write_ethogram(tmp_path / "e.jpeg", [EthogramVideo("v", 1, [])])
    with pytest.raises(ValueError, match=r"e\.png: there is no video to draw"):
        write_ethogram(tmp_path / "e.png", [])
