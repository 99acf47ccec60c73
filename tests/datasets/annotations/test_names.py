"""Names of classes and files come back from lists, tables and shards as they were, or are an error."""

import json
import os
import sys
from pathlib import Path

import pytest

from kinema.datasets import ShardDataset, VideoDataset, write_shards
from kinema.datasets.annotations import find_splits, read_annotations, read_list, write_list
from kinema.datasets.annotations.class_names import check_class_names, read_class_names, write_class_names
from kinema.datasets.annotations.folders import read_class_folders
from kinema.datasets.annotations.splits import list_line
from kinema.datasets.storage.columns import LabelColumn
from kinema.errors import AnnotationError

posix = pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not have")


def in_bytes(folder: Path, name: bytes) -> Path:
    return Path(os.fsdecode(os.fsencode(folder) + b"/" + name))


def test_class_names_come_back_from_their_file(tmp_path: Path) -> None:
    names = ("high jump", "a\x1bb", "tab\tin", "#1", "動作", "$x$")
    write_class_names(tmp_path / "classes.txt", names)
    assert read_class_names(tmp_path / "classes.txt") == names
    (tmp_path / "classes.txt").write_bytes("\ufeffa\r\n b \r\n\r\nc\u00e9".encode())
    assert read_class_names(tmp_path / "classes.txt") == ("a", "b", "cé")
    assert read_class_names(tmp_path / "absent.txt") == ()


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\u2028b", "a\x85b", "a\x0bb"])
def test_a_class_name_of_two_lines_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(AnnotationError, match=r"classes\.txt: the name of the class 'a.*b' has a line break"):
        write_class_names(tmp_path / "classes.txt", ["ok", name])
    assert not (tmp_path / "classes.txt").exists()
    (tmp_path / "a.json").write_text(json.dumps([{"path": "a.mp4", "label": name}, {"path": "b.mp4", "label": "ok"}]))
    with pytest.raises(AnnotationError, match=r"a\.json: the name of the class 'a.*b' has a line break"):
        read_annotations(tmp_path / "a.json")
    with pytest.raises(AnnotationError, match=r"a\.json:1: the name of the class 'a.*b' has a line break"):
        read_annotations(tmp_path / "a.json", class_names=["ok"])


def test_other_names_that_are_none_are_errors(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="x: a class has the name '  ': expected some text"):
        check_class_names(["  "], "x")
    with pytest.raises(AnnotationError, match=r"x: the name of the class '\\xb6' is not UTF-8: rename it"):
        check_class_names(["\udcb6"], "x")
    (tmp_path / "classes.txt").write_bytes(b"a\nb\xe9\n")
    with pytest.raises(AnnotationError, match=r"classes\.txt:2: expected names of classes in UTF-8"):
        read_class_names(tmp_path / "classes.txt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(AnnotationError, match=r"folder: cannot be read: Is a directory"):
        read_class_names(tmp_path / "folder")


def test_two_classes_of_one_name_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,label\na.mp4,run\n")
    with pytest.raises(AnnotationError, match=r"two classes are called 'run': expected different names"):
        read_annotations(tmp_path / "a.csv", class_names=["run", "walk", "run "])


def test_half_a_character_in_a_path_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"path": "a\\ud800.mp4", "label": 0}]')
    with pytest.raises(AnnotationError, match=r"a\.json:1: the name 'a\\ud800\.mp4' holds half a character"):
        read_annotations(tmp_path / "a.json")


def test_labels_that_pandas_wrote_as_floats_are_class_indices(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("path,label\nx.mp4,2.0\ny.mp4,10.0\nz.mp4,1\n")
    assert [one.labels for one in read_annotations(tmp_path / "b.csv")] == [(2,), (10,), (1,)]


def test_numbers_as_class_names_are_in_the_order_of_their_values(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("path,label\nx.mp4,2.5\ny.mp4,10.0\nz.mp4,1\nw.mp4,none\nv.mp4,nan\n")
    assert read_annotations(tmp_path / "b.csv").class_names == ("1", "2.5", "10.0", "nan", "none")


def test_two_columns_of_one_name_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("path,label,label\nx.mp4,wave,p\n")
    with pytest.raises(AnnotationError, match=r"c\.csv:1: two columns are called 'label': rename one"):
        read_annotations(tmp_path / "c.csv")
    (tmp_path / "c.csv").write_text("path,label,note,note\nx.mp4,wave,p,q\n")
    assert read_annotations(tmp_path / "c.csv").class_names == ("wave",)


def test_clips_are_counted_from_the_end_as_well(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x.mp4 0\ny.mp4 1\n")
    clips = read_list(tmp_path / "a.txt")
    assert (clips[-1], clips[-2]) == (clips[1], clips[0])
    with pytest.raises(IndexError, match="out of bounds"):
        clips[2]
    several = LabelColumn.from_lists([(1, 2), (), (3,)])
    assert [several.of(place) for place in (-1, -2, -3)] == [(3,), (), (1, 2)]
    with pytest.raises(IndexError, match="out of range"):
        several.of(-4)


@pytest.mark.parametrize(
    "name", [" lead.mp4", "#1.mp4", '"q".mp4', "'q'.mp4", "a\x1bb.mp4", "a\u2028"[:1] + ".mp4", "\ufeffx.mp4"]
)
def test_a_line_of_a_list_gives_its_path_back(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    (tmp_path / "a.txt").write_text(list_line(name, 3) + "z.mp4 1\n", encoding="utf-8")
    found = read_list(tmp_path / "a.txt")[0]
    assert (tmp_path / found.path).exists()
    assert found.labels == (3,)


def test_a_path_that_no_list_can_hold_is_an_error() -> None:
    with pytest.raises(AnnotationError, match=r"the name 'a\\nb\.mp4' has a line break, which no list can hold"):
        list_line("a\nb.mp4", 0)
    with pytest.raises(AnnotationError, match=r"the name 'a\.mp4 ' ends in a space, which no list can hold"):
        list_line("a.mp4 ", 0)


@posix
def test_lists_of_names_that_are_not_utf8_are_read_back(tmp_path: Path, make_video) -> None:
    root = in_bytes(tmp_path, b"r\xff")
    for name in (b"wave/\xb6\xaf 1.mp4", b"wave/ok.mp4"):
        in_bytes(root, name).parent.mkdir(parents=True, exist_ok=True)
        in_bytes(root, name).symlink_to(make_video())
    clips = read_class_folders(root)
    written = write_list(tmp_path / "lists" / "train.txt", clips, root)
    train, _ = find_splits(written)
    assert [(train.video_root / one.path).exists() for one in train.annotations] == [True, True]
    info = VideoDataset(**train.dataset_config()).get_data_info(1)
    assert Path(info["filename"]).read_bytes() == in_bytes(root, b"wave/\xb6\xaf 1.mp4").read_bytes()
    for content in (b"\xb6\xaf 1.mp4,0\n", b"path,label\nok.mp4,0\n\xb6\xaf 1.mp4,0\n", b"\xb6\xaf 1.mp4\t0\n"):
        (root / "wave" / "train.csv").write_bytes(content)
        found = read_annotations(root / "wave" / "train.csv")
        assert (root / "wave" / found[-1].path).exists()
        assert found[-1].labels == (0,)
    write_shards(VideoDataset(**train.dataset_config()), tmp_path / "shards")
    assert len(ShardDataset(tmp_path / "shards")) == 2


@posix
def test_parts_of_videos_whose_names_are_not_utf8_are_read_back(tmp_path: Path, make_video) -> None:
    path = in_bytes(tmp_path, b"\xb6\xaf.mp4")
    path.symlink_to(make_video())
    (tmp_path / "a.json").write_text(json.dumps([{"path": path.name, "label": 1, "start": 0.5, "end": 1}]))
    clips = read_annotations(tmp_path / "a.json")
    back = read_annotations(write_list(tmp_path / "lists" / "train.txt", clips, tmp_path))
    assert Path(back[0].path).exists()
    assert back.clip_starts is not None
    assert back.clip_starts.tolist() == [0.5]


def test_lists_in_another_encoding_are_still_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ok.mp4 0\nc\xe9.mp4 1\n")
    with pytest.raises(AnnotationError, match=r"a\.txt:2: .* bytes that are no UTF-8 text: save it as UTF-8"):
        read_list(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_bytes(b"c\xe9" + b"x" * 5000 + b".mp4 1\n")
    with pytest.raises(AnnotationError, match=r"a\.txt:1: .* bytes that are no UTF-8"):
        read_list(tmp_path / "a.txt")


@posix
def test_pipes_in_the_place_of_annotations_are_named(tmp_path: Path) -> None:
    for name in ("a.txt", "a.csv", "a.json", "a.jsonl", "a.xml", "classes.txt"):
        os.mkfifo(tmp_path / name)
    for name in ("a.txt", "a.csv", "a.json", "a.jsonl", "a.xml"):
        with pytest.raises(
            AnnotationError, match=rf"{name}: the annotation file cannot be read: is a pipe, expected a regular file"
        ):
            find_splits(tmp_path / name)
    (tmp_path / "b.txt").write_text("x.mp4 0\n")
    with pytest.raises(AnnotationError, match=r"classes\.txt: cannot be read: is a pipe, expected a regular file"):
        read_annotations(tmp_path / "b.txt")
