import json
import logging

import numpy as np
import pytest

from kinema.datasets import VideoDataset
from kinema.datasets.annotations import read_annotations
from kinema.datasets.annotations.delimited import read_csv
from kinema.datasets.annotations.json_files import holds_clips, read_json, read_jsonl
from kinema.datasets.annotations.parquet import read_parquet
from kinema.errors import AnnotationError, MissingDependencyError

ROWS = [
    {"video": "a b.mp4", "action": "run", "start": 0.5, "end": 2.0},
    {"video": "c.mp4", "action": "clap", "start": None, "end": 3.5},
    {"video": "c.mp4", "action": "run", "start": 3.5, "end": None},
]


def as_csv(path, delimiter=","):
    lines = [delimiter.join("" if value is None else str(value) for value in row.values()) for row in ROWS]
    path.write_text("\n".join(["# made", delimiter.join(ROWS[0]), *lines, ""]))


def as_json(path):
    path.write_text(json.dumps({"classes": ["clap", "run"], "clips": ROWS}, indent=1))


def as_jsonl(path):
    path.write_text(
        "\n".join(json.dumps({key: value for key, value in row.items() if value is not None}) for row in ROWS)
    )


def as_parquet(path):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(ROWS), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("x.csv", as_csv),
        ("x.tsv", lambda path: as_csv(path, "\t")),
        ("semicolons.csv", lambda path: as_csv(path, ";")),
        ("x.json", as_json),
        ("x.jsonl", as_jsonl),
        ("x.parquet", as_parquet),
    ],
)
def test_all_kinds_of_tables_say_the_same(tmp_path, name, write):
    write(tmp_path / name)
    found = read_annotations(tmp_path / name)
    assert list(found) == [("a b.mp4", (1,)), ("c.mp4", (0,)), ("c.mp4", (1,))]
    assert found.class_names == ("clap", "run")
    np.testing.assert_equal(found.clip_starts, [0.5, np.nan, 3.5])
    np.testing.assert_equal(found.clip_ends, [2.0, 3.5, np.nan])
    assert found.notes == (
        "columns: path from 'video', label from 'action', start_seconds from 'start', end_seconds from 'end'",
    )


def test_a_dataset_logs_the_columns_and_gives_the_parts(tmp_path, caplog):
    as_csv(tmp_path / "x.csv")
    with caplog.at_level(logging.INFO, logger="kinema"):
        dataset = VideoDataset(tmp_path / "x.csv", data_prefix={"video": "clips"})
    assert "columns: path from 'video', label from 'action'" in caplog.text
    info = dataset[0]
    assert (info["filename"], info["label"], info["start_seconds"], info["end_seconds"]) == (
        "clips/a b.mp4",
        1,
        0.5,
        2.0,
    )


def test_columns_may_be_chosen(tmp_path):
    (tmp_path / "x.csv").write_text('file,label,verb\n"a, b.mp4",7,run\nc.mp4,8,clap\n')
    assert list(read_csv(tmp_path / "x.csv")) == [("a, b.mp4", (7,)), ("c.mp4", (8,))]
    found = read_csv(tmp_path / "x.csv", columns={"label": "verb"})
    assert (list(found.labels.values), found.class_names) == ([1, 0], ("clap", "run"))


def test_quoted_fields_keep_the_count_of_lines(tmp_path):
    (tmp_path / "x.csv").write_text('path,label,note\nb.mp4,0,"two\nlines"\nc.mp4,zero,1,2\n')
    with pytest.raises(AnnotationError, match=r"x\.csv:4: expected 3 fields \(path, label, note\), got 4; put a field"):
        read_csv(tmp_path / "x.csv")


def test_several_labels_are_separated_in_a_field_or_are_a_list(tmp_path):
    (tmp_path / "x.csv").write_text('path,label\na.mp4,run|jump\nb.mp4,"run, clap"\n')
    assert list(read_csv(tmp_path / "x.csv", multi_label=True)) == [("a.mp4", (2, 1)), ("b.mp4", (2, 0))]
    (tmp_path / "x.json").write_text('[{"path": "a.mp4", "labels": [2, 5]}, {"path": "b.mp4", "labels": [1]}]')
    assert [labels for _, labels in read_json(tmp_path / "x.json")] == [(2, 5), (1,)]


def test_whole_numbers_are_class_indices_unless_one_label_is_none(tmp_path):
    (tmp_path / "x.csv").write_text("path,label\na.mp4,3\nb.mp4,0\n")
    assert read_csv(tmp_path / "x.csv").labels.values.tolist() == [3, 0]
    (tmp_path / "x.csv").write_text("path,label\na.mp4,3\nb.mp4,many\n")
    assert read_csv(tmp_path / "x.csv").class_names == ("3", "many")


def test_the_classes_of_training_give_the_order(tmp_path):
    (tmp_path / "x.csv").write_text("path,label\na.mp4,run\n")
    assert read_csv(tmp_path / "x.csv", class_names=["walk", "run"]).labels.values.tolist() == [1]
    with pytest.raises(AnnotationError, match=r"x\.csv:2: the label 'run' is none of the 2 classes: walk, clap"):
        read_csv(tmp_path / "x.csv", class_names=["walk", "clap"])


def test_a_split_is_taken_by_any_of_its_names(tmp_path):
    (tmp_path / "x.csv").write_text(
        "path,label,subset\na.mp4,run,training\nb.mp4,clap,validation\nc.mp4,run,training\n"
    )
    train = read_annotations(tmp_path / "x.csv", split="train")
    assert [path for path, _ in train] == ["a.mp4", "c.mp4"]
    assert train.class_names == ("clap", "run")
    assert len(read_annotations(tmp_path / "x.csv")) == 3
    with pytest.raises(AnnotationError, match=r"x\.csv: there is no split 'test': it has train, val"):
        read_annotations(tmp_path / "x.csv", split="test")


def test_without_a_label_column_clips_are_not_labelled(tmp_path):
    (tmp_path / "x.csv").write_text("path\na.mp4\nb.mp4\n")
    assert [labels for _, labels in read_csv(tmp_path / "x.csv")] == [(), ()]


def test_frames_may_bound_the_parts(tmp_path):
    (tmp_path / "x.csv").write_text("path,label,start_frame,end_frame\na.mp4,0,10,20\n")
    info = VideoDataset(tmp_path / "x.csv")[0]
    assert (info["start_frame"], info["end_frame"]) == (10, 20)


def test_seconds_and_frames_in_one_table_are_not_mixed(tmp_path):
    def read(header):
        (tmp_path / "x.csv").write_text(f"path,label,{header}\na.mp4,0,1,2,10,20\n")
        return read_csv(tmp_path / "x.csv")

    both = read("start,end,start_frame,end_frame")
    assert (both.clip_unit, both.clip_starts[0], both.clip_ends[0]) == ("seconds", 1, 2)
    assert both.notes[1] == "the columns 'start_frame', 'end_frame' are not used: seconds count"
    assert "start_frame" not in both.notes[0]
    frames = read("start,x,start_frame,end_frame")
    assert (frames.clip_unit, frames.clip_starts[0], frames.clip_ends[0]) == ("frames", 10, 20)
    assert (read("x,y,z,end_frame").clip_unit, read("x,y,z,end_frame").clip_ends[0]) == ("frames", 20)
    with pytest.raises(AnnotationError, match=r"the column 'start' counts seconds, 'end_frame' frames: give start and"):
        read("start,y,z,end_frame")


def test_json_of_mmengine_is_understood(tmp_path):
    content = {"metainfo": {"classes": ["b", "a"]}, "data_list": [{"filename": "x.mp4", "label": 1}]}
    (tmp_path / "x.json").write_text(json.dumps(content))
    found = read_annotations(tmp_path / "x.json")
    assert (list(found), found.class_names) == ([("x.mp4", (1,))], ("b", "a"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", "", r"x\.csv: the table is empty: expected a table with a header line"),
        ("x.csv", "path,label\n", r"x\.csv: holds no clips"),
        (
            "x.csv",
            "when,label\n1,2\n",
            r"x\.csv:1: no column looks like the path of the video: the columns are 'when', 'label'",
        ),
        ("x.csv", "path,label\n,2\n", r"x\.csv:2: the column 'path' is empty"),
        ("x.csv", "path,label\na.mp4,run\nb.mp4,\n", r"x\.csv:3: the clip has no label, others have: give it one"),
        ("x.csv", "path,label,start\na.mp4,run,soon\n", r"x\.csv:2: the column 'start' must hold numbers, got 'soon'"),
        (
            "x.csv",
            "path,label,start,end\na.mp4,0,2,1\n",
            r"x\.csv:2: the clip goes from 2 to 1: expected a start of 0 or above",
        ),
        ("x.csv", "path,label,start,end\na.mp4,0,-2,1\n", r"x\.csv:2: the clip goes from -2 to 1"),
        ("x.csv", "path,start\na.mp4,1e400\n", r"x\.csv:2: the column 'start' must hold numbers, got '1e400'"),
        ("x.json", '{"classes": [1], "clips": [{"path": "a"}]}', r"x\.json: 'classes' must be a list of names"),
        ("x.json", "", r"x\.json: the file is empty: expected JSON"),
        ("x.json", '[{"path": 1},\n]', r"x\.json:2: expected JSON: "),
        ("x.json", "[1, 2]", r"x\.json: expected a list of objects such as"),
        ("x.json", "[]", r"x\.json: holds no clips: expected at least one object"),
        ("x.jsonl", '{"path": "a.mp4"}\n{no}\n', r"x\.jsonl:2: expected one JSON object a line: "),
        ("x.jsonl", '{"path": "a.mp4"}\n[1]\n', r"x\.jsonl:2: expected one JSON object a line, got list"),
    ],
)
def test_a_bad_table_names_file_and_line(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    read = {".csv": read_csv, ".json": read_json, ".jsonl": read_jsonl}[name[1:]]
    with pytest.raises(AnnotationError, match=message):
        read(tmp_path / name)


def test_a_table_in_another_encoding_names_the_line(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"path,label\na.mp4,0\n\xfcber.mp4,0\n")
    with pytest.raises(AnnotationError, match=r"x\.csv:3: expected a text file with .* no UTF-8 text"):
        read_csv(tmp_path / "x.csv")


def test_a_field_without_its_closing_quote_is_told(tmp_path):
    (tmp_path / "x.csv").write_text('path,label\n"' + "a" * 200_000 + "\n")
    with pytest.raises(AnnotationError, match=r"x\.csv:2: expected fields separated by ',': field larger"):
        read_csv(tmp_path / "x.csv")


def test_a_column_that_is_not_there_is_named(tmp_path):
    as_csv(tmp_path / "x.csv")
    with pytest.raises(
        AnnotationError, match=r"x\.csv:2: there is no column 'verb' for label: the columns are 'video', 'action'"
    ):
        read_csv(tmp_path / "x.csv", columns={"label": "verb"})
    with pytest.raises(ValueError, match="columns: expected path, label, .*, got 'lable'"):
        read_csv(tmp_path / "x.csv", columns={"lable": "action"})


def test_parquet_without_its_library_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(
        MissingDependencyError, match=r"x\.parquet: reading parquet needs pyarrow: pip install 'kinema\[parquet\]'"
    ):
        read_parquet(tmp_path / "x.parquet")


def test_what_is_no_parquet_is_told(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "x.parquet").write_bytes(b"nothing of the kind")
    with pytest.raises(AnnotationError, match=r"x\.parquet: cannot be read as a parquet table"):
        read_parquet(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", True),
        ('{"clips": []}', True),
        ('{"model": {}, "data": []}', False),
        ('{"train_cfg": {}}', False),
        ("{no", False),
    ],
)
def test_annotations_are_told_from_configs(tmp_path, text, expected):
    (tmp_path / "a.json").write_text(text)
    assert holds_clips(tmp_path / "a.json") is expected
