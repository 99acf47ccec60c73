import logging

import pytest

from kinema.datasets import VideoDataset
from kinema.datasets.annotations import FORMATS, find_splits, read_annotations, read_split, split_by_group, write_list
from kinema.datasets.annotations.formats import find_format
from kinema.errors import AnnotationError
from kinema.recipes import evaluation_clips


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.txt", "a.mp4 0\n", "list"),
        ("a.csv", "a.mp4,0\n", "list"),
        ("a.csv", "path,label\na.mp4,0\n", "csv"),
        ("a.tsv", "video\tclass\na.mp4\t0\n", "csv"),
        ("a.csv", "label,youtube_id,time_start,time_end,split\n", "kinetics"),
        ("a.json", '[{"path": "a"}]', "json"),
        ("a.json", '[{"id": "1", "template": "x"}]', "something-something"),
        ("a.json", '[{"data": {}, "annotations": []}]', "label-studio"),
        ("a.ndjson", "", "jsonl"),
        ("a.pq", "", "parquet"),
        ("a.xml", "", "cvat"),
    ],
)
def test_formats_are_found_out(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text)
    assert find_format(tmp_path / name) == expected
    assert expected in FORMATS


def test_a_packed_export_is_told(tmp_path):
    with pytest.raises(AnnotationError, match=r"export\.zip: is packed: unpack it"):
        find_format(tmp_path / "export.zip")


def test_the_format_that_was_taken_is_logged(tmp_path, caplog):
    (tmp_path / "a.csv").write_text("path,label\na.mp4,0\n")
    with caplog.at_level(logging.INFO, logger="kinema"):
        read_annotations(tmp_path / "a.csv")
    assert "a.csv: read as csv (a table with a header)" in caplog.text


def test_commas_separate_lists_that_are_called_tables(tmp_path):
    (tmp_path / "a.csv").write_text("a b.mp4,0\nc.mp4,1\n")
    assert list(read_annotations(tmp_path / "a.csv")) == [("a b.mp4", (0,)), ("c.mp4", (1,))]
    assert len(VideoDataset(tmp_path / "a.csv", delimiter=",")) == 2


def test_a_wrong_format_or_option_is_named(tmp_path):
    (tmp_path / "a.txt").write_text("a.mp4 0\n")
    with pytest.raises(ValueError, match=r"there is no annotation format 'excel': expected auto, list, rawframes"):
        read_annotations(tmp_path / "a.txt", "excel")
    with pytest.raises(ValueError, match=r"a\.txt: the format list takes no columns"):
        read_annotations(tmp_path / "a.txt", columns={"path": "x"})
    with pytest.raises(AnnotationError, match=r"a\.txt: there is no split 'val': it names no splits"):
        read_annotations(tmp_path / "a.txt", split="val")


def test_a_split_of_class_folders_is_a_folder(tmp_path):
    for name in ("train/run/a.mp4", "validation/run/b.mp4"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert list(read_annotations(tmp_path, split="train")) == [("run/a.mp4", (0,))]
    assert list(read_annotations(tmp_path, split="val")) == [("run/b.mp4", (0,))]
    with pytest.raises(AnnotationError, match=r"holds the folders 'train' and 'validation': name the part"):
        read_annotations(tmp_path)


def test_one_table_may_hold_both_splits(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.mp4").touch()
    (tmp_path / "all.csv").write_text("path,label,split\na.mp4,run,train\nb.mp4,jump,val\nc.mp4,run,train\n")
    train, val = find_splits(tmp_path / "all.csv")
    assert (len(train.annotations), len(val.annotations), val.part) == (2, 1, "val")
    assert VideoDataset(**val.dataset_config())[0]["label"] == 0
    assert VideoDataset(**train.dataset_config()).metainfo["classes"] == ["jump", "run"]


def test_tables_of_both_splits_share_the_classes_of_training(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.mp4").touch()
    (tmp_path / "train.csv").write_text("path,label\na.mp4,run\nb.mp4,jump\n")
    (tmp_path / "val.csv").write_text("path,label\nc.mp4,run\n")
    _, val = find_splits(tmp_path)
    assert val.annotations.labels.values.tolist() == [1]


def test_held_out_parts_of_videos_are_written_with_their_times(tmp_path):
    for name in "abcd":
        (tmp_path / f"{name}.mp4").touch()
    rows = "".join(f"{name}.mp4,{part % 2},{part}.25,{part + 1}\n" for name in "abcd" for part in range(2))
    (tmp_path / "all.csv").write_text("path,label,start,end\n" + rows)
    split = read_split(tmp_path / "all.csv")
    train, held = split_by_group(split.annotations, share=0.3)
    assert not {path for path, _ in train} & {path for path, _ in held}
    written = write_list(tmp_path / "work" / "train.txt", train, split.video_root)
    assert written.name == "train.csv"
    again = read_annotations(written)
    assert (list(again.labels.values), list(again.clip_starts)) == (list(train.labels.values), list(train.clip_starts))


def test_folders_of_frames_are_told_from_videos_with_several_labels(tmp_path):
    (tmp_path / "some clip").mkdir()
    (tmp_path / "frames.txt").write_text("# folders\nsome clip 12 0\n")
    (tmp_path / "videos.txt").write_text("other clip 12 0\n")
    assert find_format(tmp_path / "frames.txt") == "rawframes"
    assert find_format(tmp_path / "videos.txt") == "list"
    assert read_annotations(tmp_path / "frames.txt").total_frames.tolist() == [12]
    with pytest.raises(AnnotationError, match=r"frames\.txt: lists folders of frames: RawframeDataset reads these"):
        VideoDataset(tmp_path / "frames.txt")


def test_a_table_of_all_clips_is_evaluated_by_its_validation_clips(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.mp4").touch()
    (tmp_path / "all.csv").write_text("path,label,split\na.mp4,run,train\nb.mp4,jump,test\nc.mp4,run,train\n")
    split = evaluation_clips(tmp_path / "all.csv", ["jump", "run"])
    assert (list(split.annotations), split.part) == ([("b.mp4", (0,))], "test")
