"""Files of scores: what is written is read back to the bit, and what is damaged is said in one line."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinema.errors import DumpError, MissingDependencyError
from kinema.evaluation import ClipId, ClipScores, FailedClip, ScoreDump, check_dump, dump_suffix, read_dump, write_dump

HAS_PARQUET = importlib.util.find_spec("pyarrow") is not None
SUFFIXES = [".npz", ".json", pytest.param(".parquet", marks=pytest.mark.skipif(not HAS_PARQUET, reason="no pyarrow"))]


def some_scores(count: int = 5, classes: int = 3) -> ScoreDump:
    drawn = np.random.default_rng(0)
    clips = ClipScores(
        tuple(f"wave/überall {place}.mp4" for place in range(count)),
        drawn.integers(0, classes, count),
        drawn.random((count, classes)).astype(np.float32),
        tuple(f"class {number}" for number in range(classes)),
        root="/data",
        starts=np.array([np.nan, *np.arange(count - 1.0)]),
        ends=np.array([*np.arange(count - 1.0) / 3 + 2, np.nan]),
    )
    return ScoreDump(clips, (FailedClip("b.mp4", "b.mp4: no such file", 1), FailedClip("c.mp4", "cut off")), "val.txt")


def same(left: np.ndarray | None, right: np.ndarray | None) -> bool:
    return left is right is None or np.array_equal(left, right, equal_nan=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_back_what_was_written(tmp_path: Path, suffix: str) -> None:
    for dump in (some_scores(), ScoreDump(replace(some_scores().clips, starts=None, ends=None, classes=(), root=""))):
        write_dump(tmp_path / "new" / f"a{suffix}", dump)
        again = read_dump(tmp_path / "new" / f"a{suffix}")
        assert (again.source, again.failed) == (dump.source, dump.failed)
        for name in ("paths", "classes", "root", "unit", "ids"):
            assert getattr(again.clips, name) == getattr(dump.clips, name)
        for name in ("labels", "scores", "starts", "ends"):
            assert same(getattr(again.clips, name), getattr(dump.clips, name)), name
        assert again.clips.scores.dtype == np.float32


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_labels_of_several_classes_are_written_and_read(tmp_path: Path, suffix: str) -> None:
    labels = np.array([[True, False, True], [False, False, False], [False, True, False]])
    dump = ScoreDump(replace(some_scores(3).clips, labels=labels))
    write_dump(tmp_path / f"a{suffix}", dump)
    again = read_dump(tmp_path / f"a{suffix}").clips
    assert again.is_multi_label
    assert np.array_equal(again.labels, labels)
    assert [again.labels_of(place) for place in range(3)] == [[0, 2], [], [1]]


def test_a_label_that_is_no_class_is_named(tmp_path: Path) -> None:
    write_dump(tmp_path / "a.json", ScoreDump(replace(some_scores(3).clips, labels=np.eye(3, dtype=bool))))
    content = json.loads((tmp_path / "a.json").read_text())
    content["clips"][1]["label"] = [3]
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(DumpError, match=r"the labels \[3\] are not all classes"):
        read_dump(tmp_path / "a.json")


def test_clips_are_named_by_path_and_times() -> None:
    ids = some_scores(3).clips.ids
    assert ids[0] == ClipId("wave/überall 0.mp4", None, 2.0)
    assert [str(clip) for clip in ids] == [
        "wave/überall 0.mp4 [-2.0]",
        "wave/überall 1.mp4 [0.0-2.3333333333333335]",
        "wave/überall 2.mp4 [1.0-]",
    ]
    assert str(ClipId("a.mp4")) == "a.mp4"


def test_no_file_holds_a_pickle(tmp_path: Path) -> None:
    write_dump(tmp_path / "a.npz", some_scores())
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert {name: array.dtype.kind for name, array in arrays.items()} == {
            **{"header": "U", "path": "U", "label": "i", "scores": "f"},
            **{"start": "f", "end": "f"},
        }


def test_a_json_file_has_one_row_a_clip(tmp_path: Path) -> None:
    write_dump(tmp_path / "a.json", some_scores())
    value = json.loads((tmp_path / "a.json").read_text())
    assert value["classes"] == ["class 0", "class 1", "class 2"]
    assert [set(row) for row in value["clips"]] == [
        {"path", "end", "label", "scores"},
        *[{"path", "start", "end", "label", "scores"}] * 3,
        {"path", "start", "label", "scores"},
    ]


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DumpError, match=r"a\.txt: expected a file of scores, \.npz, .*, got the suffix '\.txt'"):
        write_dump(tmp_path / "a.txt", some_scores())
    assert dump_suffix("A.NPZ") == ".npz"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(HAS_PARQUET, reason="pyarrow is installed")
def test_parquet_without_its_library_names_the_extra(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r"a\.parquet: parquet needs pyarrow: pip install 'kinema\[parq"):
        write_dump(tmp_path / "a.parquet", some_scores())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "content", [b"", b"no scores", b"PK\3\4 cut", b"[1, 2]", b"{}", b'{"format": "x"}', b"[" * 9999]
)
def test_files_that_are_none_are_named(tmp_path: Path, suffix: str, content: bytes) -> None:
    file = tmp_path / f"a{suffix}"
    file.write_bytes(content)
    with pytest.raises(
        DumpError, match=rf"a{suffix}: is no file of scores of `kinema test --out`, or is damaged: (?!.*unsafe)\S"
    ):
        read_dump(file)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_that_are_cut_off_are_named(tmp_path: Path, suffix: str) -> None:
    write_dump(tmp_path / f"a{suffix}", some_scores())
    whole = (tmp_path / f"a{suffix}").read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 40)):
        (tmp_path / f"cut{suffix}").write_bytes(whole[:length])
        with pytest.raises(DumpError, match="is no file of scores"):
            read_dump(tmp_path / f"cut{suffix}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(unit="hours"), "its unit of time is 'hours'"),
        (dict(clips=[dict(path="a", label=0.5, scores=[1, 0, 0])]), "its labels are no whole numbers"),
        (dict(clips=[dict(path="a", label=0, scores=["x", 0, 0])]), "could not convert string to float"),
        (dict(clips=[dict(path="a", label=0, scores=[1, 0]), dict(path="b", label=0, scores=[1])]), "inhomogeneous"),
        (dict(failed=[dict(where="a")]), "unexpected keyword argument 'where'"),
    ],
)
def test_values_that_cannot_be_are_named(tmp_path: Path, change: dict, message: str) -> None:
    write_dump(tmp_path / "a.json", some_scores())
    value = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "a.json").write_text(json.dumps(value | change))
    with pytest.raises(DumpError, match=rf"a\.json: is no file of scores .*{message}"):
        read_dump(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(paths=("a",)), r"1 clips, 5 labels and scores of shape \(5, 3\)"),
        (dict(labels=np.array([0, 1])), "5 clips, 2 labels"),
        (dict(labels=np.array([0, 1, 2, 3, 0])), "labels from 0 to 3 for 3 classes"),
        (dict(labels=np.array([0, 1, 2, -1, 0])), "labels from -1 to 2 for 3 classes"),
        (dict(scores=np.full((5, 3), np.nan, np.float32)), "scores that are not numbers"),
        (dict(classes=("a", "b")), "2 class names for scores of 3 classes"),
        (dict(starts=np.zeros(2)), "not one start and end a clip"),
    ],
)
def test_columns_must_fit(change: dict, message: str) -> None:
    dump = some_scores()
    with pytest.raises(DumpError, match=f"mine: holds {message}.*: expected one label and one row of scores a clip"):
        check_dump(replace(dump, clips=replace(dump.clips, **change)), "mine")
