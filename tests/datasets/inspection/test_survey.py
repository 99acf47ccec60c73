import pytest

from kinema.datasets.annotations import find_splits
from kinema.datasets.inspection.survey import Spread, survey_dataset, survey_splits


@pytest.fixture
def healthy(tmp_path, make_video):
    """Two classes, six clips of 1 and 2 seconds."""
    for part, count in (("train", 4), ("val", 2)):
        for index in range(count):
            path = tmp_path / part / ("run", "walk")[index % 2] / f"{part}{index}.mp4"
            make_video(path, num_frames=10 + 10 * (index % 2), fps=10, size=(64 + 2 * index + 8 * count, 48))
    return tmp_path


def kinds(survey):
    return {problem.kind: problem.count for problem in survey.problems}


def test_a_good_data_set_is_described(healthy):
    survey = survey_dataset(healthy)
    train, val = survey.parts
    assert (train.name, train.format, train.num_clips, train.num_videos, val.num_clips) == (
        "train",
        "class-folders",
        4,
        4,
        2,
    )
    assert train.num_bytes == sum(file.stat().st_size for file in (healthy / "train").rglob("*.mp4"))
    assert (train.duration_seconds, train.fps, train.short_side) == (
        Spread(1, 1.5, 2),
        Spread(10, 10, 10),
        Spread(48, 48, 48),
    )
    assert survey.classes == ("run", "walk")
    assert survey.counts == {"train": [2, 2], "val": [1, 1]}
    assert survey.problems == ()


def test_every_problem_of_a_list_is_found_with_its_line(healthy):
    (healthy / "classes.txt").write_text("run\nwalk\nswim\n")
    names = ["train/run/train0.mp4", "train/walk/train1.mp4"]
    (healthy / "train.txt").write_text(
        f"{names[0]} 0\n{names[1]} 1\n{names[1]} 1\n{names[0]} 1\ngone.mp4 0\nval/run/val0.mp4 5\n"
    )
    (healthy / "val.txt").write_text(f"{names[0]} 0\nval/walk/val1.mp4 1\n")
    survey = survey_dataset(healthy)
    problems = {problem.kind: problem for problem in survey.problems}
    assert kinds(survey) == {
        "missing file": 1,
        "label out of range": 1,
        "duplicate": 2,
        "contradiction": 1,
        "absent class": 1,
        "video in both parts": 1,
    }
    assert problems["missing file"].examples == (f"{healthy / 'train.txt'}:5: gone.mp4",)
    assert problems["label out of range"].examples == (f"{healthy / 'train.txt'}:6: val/run/val0.mp4",)
    assert "expected 0 to 2, as there are 3 class names" in problems["label out of range"].message
    assert problems["contradiction"].examples == (f"{healthy / 'train.txt'}:4: {names[0]}",)
    assert problems["video in both parts"].examples == (names[0],)
    assert survey.counts["train"] == [2, 3, 0]


def test_source_videos_on_both_sides_are_found_by_their_names(tmp_path, make_video):
    for name in (
        "train/a/v_A_g01_c01.mp4",
        "train/a/v_A_g02_c01.mp4",
        "val/a/v_A_g01_c02.mp4",
        "val/a/x_000001_000011.mp4",
    ):
        make_video(tmp_path / name, num_frames=2)
    problem = next(one for one in survey_dataset(tmp_path).problems if one.kind == "source video in both parts")
    assert (problem.count, problem.examples) == (1, ("v_A_g01",))


def test_parts_of_a_video_are_no_duplicates_and_have_their_own_durations(tmp_path, make_video):
    make_video(tmp_path / "a.mp4", num_frames=50, fps=10)
    (tmp_path / "all.csv").write_text("path,label,start,end\na.mp4,0,0,1\na.mp4,1,1,4\na.mp4,0,4,\n")
    survey = survey_dataset(tmp_path / "all.csv")
    assert survey.problems == ()
    assert survey.parts[0].duration_seconds == Spread(1, 1, 3)
    assert (survey.parts[0].num_clips, survey.parts[0].num_videos) == (3, 1)


def test_unreadable_videos_missing_labels_and_uneven_classes_are_told(tmp_path, make_video):
    clip = make_video(tmp_path / "a.mp4", num_frames=2)
    for index in range(22):
        (tmp_path / f"{index}.mp4").hardlink_to(clip)
    (tmp_path / "bad.mp4").write_bytes(b"junk")
    (tmp_path / "all.txt").write_text(
        "".join(f"{index}.mp4 {int(index == 0)}\n" for index in range(22)) + "bad.mp4 0\n"
    )
    assert kinds(survey_dataset(tmp_path / "all.txt")) == {
        **{"unreadable video": 1, "imbalance": 1, "small class": 1},
        **{"copy": 1, "contradicting copy": 1},  # all good files are one
    }
    assert "unreadable video" not in kinds(survey_dataset(tmp_path / "all.txt", num_probed=0))
    (tmp_path / "none.txt").write_text("0.mp4\n1.mp4\n")
    assert kinds(survey_dataset(tmp_path / "none.txt")) == {"no label": 2, "copy": 1}


def test_a_label_that_is_no_index_does_not_fill_memory(tmp_path, make_video):
    make_video(tmp_path / "a.mp4", num_frames=2)
    (tmp_path / "all.txt").write_text("a.mp4 123456789012\n")
    assert kinds(survey_dataset(tmp_path / "all.txt"))["label out of range"] == 1


def test_a_look_that_has_no_time_left_counts_the_rest_as_there(healthy):
    splits = dict(zip(("train", "val"), find_splits(healthy), strict=True))
    survey = survey_splits(splits, ("run", "walk"), "clips", seconds=-1)
    assert [part.num_videos for part in survey.parts] == [4, 2]
    assert "missing file" not in kinds(survey)
    assert {part.num_probed for part in survey.parts} == {0}
