import os

import numpy as np
import pytest

from kinema.datasets.annotations import Split, read_list, read_split, write_list
from kinema.datasets.annotations.lists import read_rawframe_list
from kinema.datasets.annotations.merging import join_splits, read_whole
from kinema.errors import AnnotationError


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_all_parts_of_a_folder_of_lists_are_read(tmp_path):
    touch(tmp_path, "train/a.mp4", "val/b.mp4", "test/c.mp4")
    for name, clip in (("train", "a"), ("val", "b"), ("test", "c")):
        (tmp_path / f"{name}.txt").write_text(f"{clip}.mp4 {ord(clip) - ord('a')}\n")
    whole = read_whole(tmp_path)
    assert list(whole.annotations) == [("train/a.mp4", (0,)), ("val/b.mp4", (1,)), ("test/c.mp4", (2,))]
    assert whole.video_root == tmp_path
    assert len(read_whole(tmp_path / "train.txt").annotations) == 1


def test_all_parts_of_a_folder_of_class_folders_are_read(tmp_path):
    touch(tmp_path, "train/run/a.mp4", "train/walk/b.mp4", "val/run/c.mp4")
    whole = read_whole(tmp_path)
    assert list(whole.annotations) == [("train/run/a.mp4", (0,)), ("train/walk/b.mp4", (1,)), ("val/run/c.mp4", (0,))]
    assert whole.annotations.class_names == ("run", "walk")


def test_a_folder_without_parts_is_read_as_it_is(tmp_path):
    touch(tmp_path, "run/a.mp4", "walk/b.mp4")
    assert list(read_whole(tmp_path).annotations) == [("run/a.mp4", (0,)), ("walk/b.mp4", (1,))]


def test_parts_of_videos_and_absolute_paths_are_kept(tmp_path):
    touch(tmp_path, "a.mp4", "x/b.mp4")
    (tmp_path / "train.csv").write_text("path,label,start,end\na.mp4,0,1,2\n")
    (tmp_path / "x" / "val.csv").write_text(f"path,label\n{tmp_path / 'x' / 'b.mp4'},1\n")
    joined = join_splits([read_split(tmp_path / "train.csv"), read_split(tmp_path / "x" / "val.csv")])
    assert [os.path.normpath(path) for path in joined.annotations.paths] == ["a.mp4", "x/b.mp4"]
    np.testing.assert_array_equal(joined.annotations.clip_starts, [1, np.nan])
    np.testing.assert_array_equal(joined.annotations.clip_ends, [2, np.nan])


def test_lists_of_frame_folders_are_joined_and_written(tmp_path):
    touch(tmp_path, "a/img_00001.jpg", "b/img_00001.jpg")
    for name, text in (("train", "a 12 0\n"), ("val", "b 9 1\n")):
        (tmp_path / f"{name}.txt").write_text(text)
    splits = [Split(read_rawframe_list(tmp_path / f"{name}.txt"), tmp_path) for name in ("train", "val")]
    joined = join_splits(splits)
    path = write_list(tmp_path / "out" / "all.txt", joined.annotations, joined.video_root)
    assert path.read_text() == f"{tmp_path}/a 12 0\n{tmp_path}/b 9 1\n"


def test_parts_that_do_not_go_together_are_errors(tmp_path):
    touch(tmp_path, "one/a.mp4", "two/a.mp4", "f/img_00001.jpg")
    for name, classes in (("one", "run\nwalk\n"), ("two", "walk\nrun\n")):
        (tmp_path / name / "train.txt").write_text("a.mp4 0\n")
        (tmp_path / name / "classes.txt").write_text(classes)
    splits = [read_split(tmp_path / name / "train.txt") for name in ("one", "two")]
    with pytest.raises(AnnotationError, match=r"two.train\.txt: names other classes .*walk, run and run, walk"):
        join_splits(splits)
    (tmp_path / "frames.txt").write_text("f 3 0\n")
    (tmp_path / "videos.txt").write_text("one/a.mp4 0\n")
    mixed = [
        Split(read_list(tmp_path / "videos.txt"), tmp_path),
        Split(read_rawframe_list(tmp_path / "frames.txt"), tmp_path),
    ]
    with pytest.raises(AnnotationError, match=r"frames\.txt: of .*videos\.txt and this one only one lists folders"):
        join_splits(mixed)
    for name, column in (("s", "start_seconds,end_seconds"), ("n", "start_frame,end_frame")):
        (tmp_path / f"{name}.csv").write_text(f"path,label,{column}\none/a.mp4,0,1,2\n")
    timed = [read_split(tmp_path / f"{name}.csv") for name in ("s", "n")]
    with pytest.raises(AnnotationError, match=r"s\.csv counts in seconds and .*n\.csv counts in frames"):
        join_splits(timed)
    with pytest.raises(AnnotationError, match="there is no such file or folder: expected a list"):
        read_whole(tmp_path / "nowhere")
