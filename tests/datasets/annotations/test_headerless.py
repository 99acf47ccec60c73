"""Lists and tables without a header, as SlowFast, VideoMAE, PyTorchVideo, MMAction2 and pandas write them."""

from pathlib import Path

import numpy as np
import pytest

from kinema.datasets import VideoDataset
from kinema.datasets.annotations import find_splits, read_annotations
from kinema.datasets.annotations.formats import find_format
from kinema.errors import AnnotationError

TWO = [("a b.mp4", (0,)), ("c.mp4", (1,))]


def read(folder: Path, content: str, name: str = "train.csv", **options: object):
    (folder / name).write_bytes(content.encode("utf-8"))
    return read_annotations(folder / name, **options)


@pytest.mark.parametrize("name", ["train.csv", "train.tsv", "train.txt", "train.lst", "train"])
@pytest.mark.parametrize(
    "content",
    [
        "a b.mp4 0\nc.mp4 1\n",
        "\ufeffa b.mp4 0\r\nc.mp4 1\r\n",
        "a b.mp4\t0\nc.mp4\t1\n",
        "a b.mp4,0\nc.mp4,1",
        "a b.mp4, 0\nc.mp4 ,1\n",
        "a b.mp4;0\nc.mp4;1\n",
        "a b.mp4|0\nc.mp4|1\n",
        '"a b.mp4",0\n"c.mp4",1\n',
        '"a b.mp4" 0\n"c.mp4" 1\n',
        "'a b.mp4' 0\n'c.mp4' 1\n",
        "a b.mp4,0.0\nc.mp4,1.0\n",
        "a b.mp4 0.0\nc.mp4 1.\n",
        "# a comment\n\na b.mp4 0\nc.mp4 1\n",
        "a b.mp4 120 0\nc.mp4 90 1\n",
        "a b.mp4,120,0\nc.mp4,90,1\n",
        "a b.mp4\r0\rc.mp4\r1\r".replace("\r0", " 0").replace("\r1", " 1"),
    ],
)
def test_paths_end_where_they_end(tmp_path: Path, content: str, name: str) -> None:
    found = read(tmp_path, content, name)
    assert list(found) == TWO
    assert found.total_frames is None
    assert found.clip_starts is None


def test_paths_may_hold_the_delimiters_of_others(tmp_path: Path) -> None:
    assert read(tmp_path, "a, b.mp4 0\nc;d.mp4 1\n")[0] == ("a, b.mp4", (0,))
    assert read(tmp_path, "a, b.mp4 0\nc, d.mp4 1\n")[1] == ("c, d.mp4", (1,))
    assert read(tmp_path, "a b;c.mp4,0\nd e;f.mp4,1\n")[1] == ("d e;f.mp4", (1,))
    assert read(tmp_path, "a,b.mp4,0\nc.mp4,1\n")[0] == ("a,b.mp4", (0,))
    assert read(tmp_path, '"a,b.mp4",0\nc.mp4,1\n')[0] == ("a,b.mp4", (0,))
    late = "c.mp4,1\n" * 300 + '"a,""b.mp4",0\n'
    assert read(tmp_path, late)[300] == ('a,"b.mp4', (0,))


def test_labels_may_be_words(tmp_path: Path) -> None:
    for content in (
        "a b.mp4,high jump\nc.mp4,run\n",
        "a b.mp4 high jump\nc.mp4 run\n",
        "a b.mp4\thigh jump\nc.mp4\trun\n",
    ):
        found = read(tmp_path, content)
        assert found.class_names == ("high jump", "run")
        assert list(found) == TWO
        assert found.notes == ("no header: read as path, label",)
    assert read(tmp_path, "x.mp4,run\n", class_names=["walk", "run"])[0] == ("x.mp4", (1,))


def test_numbers_take_their_names_from_beside_the_list(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("walk\nrun\n")
    assert read(tmp_path, "a.mp4,1.0\n").class_names == ("walk", "run")
    assert read(tmp_path, "a.mp4,1.0\n", class_names=["x", "y"]).class_names == ("x", "y")


def test_seconds_behind_the_path_cut_the_clip(tmp_path: Path) -> None:
    found = read(tmp_path, "a.mp4 0.5 2.25 1\nb.mp4 3 4 0\n")
    assert [one.labels for one in found] == [(1,), (0,)]
    assert found.clip_starts is not None
    np.testing.assert_array_equal(found.clip_starts, [0.5, 3])
    np.testing.assert_array_equal(found.clip_ends, [2.25, 4])
    assert found.clip_unit == "seconds"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a.mp4 0 5\nb.mp4 3 9\n",
            r"two numbers stand behind each path: are they 'start end', .*give the file a header",
        ),
        ("a.mp4 1 3\nb.mp4 2 0\n", r"two labels \(multi_label=True\)"),
        ("a.mp4 0.5 3\nb.mp4 2 7\n", "two numbers stand behind each path"),
        ("a.mp4 10 30 1\n", "three numbers stand behind each path: .* in seconds or in frames"),
        ("a.mp4 1 2 3 4\n", "4 numbers stand behind each path"),
        ("a.mp4,0.5\n", "the number behind the path is not whole"),
    ],
)
def test_what_cannot_be_told_needs_a_header(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(AnnotationError, match=rf"train\.csv: expected 'path label' lines; .*{message}"):
        read(tmp_path, content)


def test_a_file_that_is_no_such_list_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        AnnotationError, match=r"the lines are no paths with something behind them: give the file a header"
    ):
        read(tmp_path, "a.mp4\nb.mp4\n", format="headerless")


def test_a_later_line_that_differs_is_named(tmp_path: Path) -> None:
    first = "a.mp4 120 0\n" * 300
    with pytest.raises(
        AnnotationError, match=r"csv:301: expected 'path num_frames label' as in the first .* got 'b\.mp4 x'"
    ):
        read(tmp_path, first + "b.mp4 x\n")
    with pytest.raises(AnnotationError, match=r"csv:301: expected 'path label' .* got 'b\.mp4,1\.5'"):
        read(tmp_path, "a.mp4,1.0\n" * 300 + "b.mp4,1.5\n")
    with pytest.raises(AnnotationError, match=r"csv:301: expected 'path label' .* got 'b'"):
        read(tmp_path, "a.mp4,run\n" * 300 + "b\n")


def test_several_labels_and_given_delimiters_are_those_of_the_caller(tmp_path: Path) -> None:
    assert read(tmp_path, "a.mp4 1 3\nb.mp4 2 0\n", multi_label=True)[0] == ("a.mp4", (1, 3))
    assert read(tmp_path, "a.mp4,1,3\nb.mp4,2\n", multi_label=True)[0] == ("a.mp4", (1, 3))
    assert read(tmp_path, "a.mp4;1\n", delimiter=";")[0] == ("a.mp4", (1,))


def test_folders_of_frames_are_known_with_any_delimiter(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    for content in ("a b 12 3\n", "a b,12,3\n", "a b\t12\t3\n"):
        found = read(tmp_path, content)
        assert found.total_frames is not None
        assert (found.format, found[0], found.total_frames.tolist()) == ("rawframes", ("a b", (3,)), [12])


def test_a_table_may_have_the_suffix_of_a_list(tmp_path: Path) -> None:
    found = read(tmp_path, "path,label\na b.mp4,run\n", "train.txt")
    assert (found.format, found[0].path, found.class_names) == ("csv", "a b.mp4", ("run",))


def test_a_training_finds_such_lists(tmp_path: Path, make_video) -> None:
    for name in ("a b", "c"):
        make_video(tmp_path / "videos" / f"{name}.mp4")
    (tmp_path / "train.csv").write_text('"videos/a b.mp4",run\nvideos/c.mp4,walk\n')
    (tmp_path / "val.csv").write_text("videos/c.mp4,walk\nvideos/c.mp4,walk\n")
    train, val = find_splits(tmp_path)
    assert find_format(tmp_path / "train.csv") == "headerless"
    assert val is not None
    assert val.annotations.class_names == ("run", "walk")
    assert val.annotations[0] == ("videos/c.mp4", (1,))
    dataset = VideoDataset(**train.dataset_config())
    assert dataset.get_data_info(0)["filename"] == str(tmp_path / "videos" / "a b.mp4")


def test_a_file_of_one_endless_line_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 100_000)
    assert find_format(tmp_path / "a.txt") == "list"
    (tmp_path / "a.txt").write_text("")
    assert find_format(tmp_path / "a.txt") == "list"
    assert find_format(tmp_path / "absent.txt") == "list"
