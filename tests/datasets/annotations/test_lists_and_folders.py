from pathlib import Path

import pytest

from kinema.datasets.annotations import read_list
from kinema.datasets.annotations.folders import read_class_folders
from kinema.datasets.annotations.labels import check_labels
from kinema.errors import AnnotationError


def write(folder: Path, text: str, name: str = "train.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_list_keeps_paths_with_spaces_and_skips_comments(tmp_path) -> None:
    path = write(tmp_path, "# my clips\na b/c 1.mp4 0\n\n  d.mp4   12 \n")
    assert list(read_list(path)) == [("a b/c 1.mp4", (0,)), ("d.mp4", (12,))]


def test_a_list_may_hold_several_labels_and_other_separators(tmp_path) -> None:
    path = write(tmp_path, "a b.mp4,0,3\nc.mp4,1\n")
    assert list(read_list(path, delimiter=",", multi_label=True)) == [("a b.mp4", (0, 3)), ("c.mp4", (1,))]
    path = write(tmp_path, "a b.mp4 0 3\nc.mp4 1\n")
    assert list(read_list(path, multi_label=True)) == [("a b.mp4", (0, 3)), ("c.mp4", (1,))]


def test_a_list_takes_class_names_from_beside_it(tmp_path) -> None:
    write(tmp_path, "waving\nclapping\n", "classes.txt")
    assert read_list(write(tmp_path, "a.mp4 1\n")).class_names == ("waving", "clapping")


def test_a_list_without_any_labels_is_not_labelled(tmp_path) -> None:
    assert [record.labels for record in read_list(write(tmp_path, "a.mp4\nb.mp4\n"))] == [(), ()]


def test_class_folders_name_the_classes_in_alphabetical_order(tmp_path) -> None:
    for name in ("wave/b.mp4", "wave/deeper/a.AVI", "clap/c.webm", "clap/notes.txt", ".hidden/d.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = read_class_folders(tmp_path)
    assert found.class_names == ("clap", "wave")
    assert list(found) == [("clap/c.webm", (0,)), ("wave/b.mp4", (1,)), ("wave/deeper/a.AVI", (1,))]
    assert read_class_folders(tmp_path, class_names=["wave", "clap"])[0] == ("clap/c.webm", (1,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.mp4 0\nb.mp4\n", r"train\.txt:2: expected 'path label' with a whole-number label, got 'b\.mp4'"),
        ("a.mp4 0\nb.mp4 zero\n", r"train\.txt:2: .* got 'b\.mp4 zero'"),
        ("\n# nothing\n", r"train\.txt: the list is empty"),
    ],
)
def test_a_bad_list_names_the_line(tmp_path, text, message) -> None:
    with pytest.raises(AnnotationError, match=message):
        read_list(write(tmp_path, text))


def test_a_list_that_cannot_be_read_is_named(tmp_path) -> None:
    with pytest.raises(AnnotationError, match=r"absent\.txt: the annotation file cannot be read: No such file"):
        read_list(tmp_path / "absent.txt")
    (tmp_path / "clip.mp4").write_bytes(b"\x00\xff\xfe\x80")
    with pytest.raises(AnnotationError, match=r"clip\.mp4:1: expected a text file"):
        read_list(tmp_path / "clip.mp4")


def test_bad_class_folders_are_named(tmp_path) -> None:
    with pytest.raises(AnnotationError, match="there is no such folder"):
        read_class_folders(tmp_path / "absent")
    with pytest.raises(AnnotationError, match="found no videos below it"):
        read_class_folders(tmp_path)
    (tmp_path / "wave").mkdir()
    (tmp_path / "wave" / "a.mp4").touch()
    with pytest.raises(AnnotationError, match="the folder 'wave' is none of the 2 classes: clap, walk"):
        read_class_folders(tmp_path, class_names=["clap", "walk"])
    (tmp_path / "clap").mkdir()
    with pytest.raises(AnnotationError, match="the class folder 'clap' holds no videos"):
        read_class_folders(tmp_path)


def test_hidden_files_and_folders_named_like_videos_are_no_clips(tmp_path) -> None:
    for name in ("wave/a.MP4", "wave/._a.mp4", "wave/.thumbs/b.mp4", ".cache/c.mp4", "wave/day.mp4/d.mov"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [record.path for record in read_class_folders(tmp_path)] == ["wave/a.MP4", "wave/day.mp4/d.mov"]


def test_a_header_is_named_as_such(tmp_path) -> None:
    with pytest.raises(AnnotationError, match=r"train\.txt:2: .* got 'path label'; is it a header\? Remove it"):
        read_list(write(tmp_path, "# clips\npath label\na.mp4 0\n"))


@pytest.mark.parametrize(
    ("text", "num_classes", "message"),
    [
        ("# two\na.mp4 0\na.mp4 2\n", 2, r"train\.txt:3: label 2 of 'a\.mp4' is out of range: expected 0 to 1 \(2 cl"),
        ("a.mp4 0\nb c.mp4\t-1\n", None, r"train\.txt:2: label -1 of 'b c\.mp4' is out of range: expected 0 or above"),
    ],
)
def test_a_label_out_of_range_names_the_line(tmp_path, text, num_classes, message) -> None:
    annotations = read_list(write(tmp_path, text))
    check_labels(annotations, 3, lowest=-1)
    with pytest.raises(AnnotationError, match=message):
        check_labels(annotations, num_classes)


def test_videos_outside_of_class_folders_are_told(tmp_path) -> None:
    (tmp_path / "a.MP4").touch()
    with pytest.raises(AnnotationError, match="its 1 videos lie in no class folder: sort them into one folder a class"):
        read_class_folders(tmp_path)
    (tmp_path / "moments.csv").touch()
    with pytest.raises(
        AnnotationError, match=r"name the folder above, or the list of the clips, such as .*moments\.csv"
    ):
        read_class_folders(tmp_path)


def test_a_folder_of_shards_says_who_reads_it(tmp_path) -> None:
    (tmp_path / "shard-000000.tar").touch()
    with pytest.raises(AnnotationError, match="holds tar files of videos, which the dataset ShardDataset reads"):
        read_class_folders(tmp_path)
