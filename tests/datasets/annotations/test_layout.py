"""Folders and lists as people lay them out: what is a split, what a class, and how that is said."""

from pathlib import Path

import pytest

from kinema.datasets.annotations import find_splits, read_annotations
from kinema.datasets.annotations.folders import has_splits
from kinema.datasets.annotations.merging import read_whole
from kinema.datasets.annotations.splits import find_layout
from kinema.datasets.inspection.survey import survey_dataset
from kinema.datasets.video import VideoDataset
from kinema.errors import AnnotationError


def lay(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def both(train: str, val: str) -> tuple[str, ...]:
    return f"{train}/clap/a.mp4", f"{train}/wave/b.mp4", f"{val}/clap/c.mp4", f"{val}/wave/d.mp4"


@pytest.mark.parametrize(
    ("train", "val"),
    [
        *[("train", name) for name in ("val", "validation", "valid", "validate", "dev", "test", "testing", "eval")],
        ("training", "testing"),
        ("Training", "Validation"),
        ("TRAIN", "Dev"),
    ],
)
def test_the_usual_names_of_splits_are_splits_and_never_classes(tmp_path, train, val) -> None:
    lay(tmp_path, *both(train, val))
    layout = find_layout(tmp_path)
    assert has_splits(tmp_path)
    assert (layout.train.path, layout.val.path) == (tmp_path / train, tmp_path / val)
    assert layout.train.annotations.class_names == layout.val.annotations.class_names == ("clap", "wave")
    assert layout.description == f"{tmp_path}/SPLIT/CLASS/*.mp4: {train} 2 clips, {val} 2 clips, 2 classes"
    assert len(read_annotations(tmp_path, split="train")) == 2
    assert len(read_annotations(tmp_path, split="val")) == 2
    assert len(read_whole(tmp_path).annotations) == 4


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ("train.txt", "validation.txt"),
        ("Training.csv", "Testing.csv"),
        ("training.txt", "dev.csv"),
        ("trainlist.txt", "eval.txt"),
        ("my_train_list.txt", "my_val_list.txt"),
    ],
)
def test_lists_have_such_names_too(tmp_path, train, val) -> None:
    lay(tmp_path, "a.mp4", "b.mp4")
    for name in (train, val):
        separator = "," if name.endswith(".csv") else " "
        (tmp_path / name).write_text(f"a.mp4{separator}0\nb.mp4{separator}1\n")
    layout = find_layout(tmp_path / train)
    assert (layout.train.path, layout.val.path) == (tmp_path / train, tmp_path / val)
    assert layout.description == f"{tmp_path / train}: 2 clips, {tmp_path / val}: 2 clips, 2 classes"
    if train.lower().startswith("train."):
        assert find_splits(tmp_path)[1].path == tmp_path / val


def test_test_clips_that_validate_are_no_independent_test_and_others_are_left(tmp_path) -> None:
    lay(tmp_path, *both("training", "testing"))
    (note,) = find_layout(tmp_path).notes
    assert note.startswith("there are no validation clips but 'testing': these are validated on and choose the best")
    lay(tmp_path, "val/clap/e.mp4", "val/wave/f.mp4", "raw/g.mp4", "notes/readme.txt", "__MACOSX/x/._a.mp4")
    layout = find_layout(tmp_path)
    assert layout.val.path == tmp_path / "val"
    assert layout.notes == (
        "'testing' is left for `kinema test`",
        f"'{tmp_path / 'raw'}' holds videos and is left out: it is no part that training knows",
    )


def test_a_table_says_the_same_of_its_splits(tmp_path) -> None:
    lay(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    (tmp_path / "all.csv").write_text("path,label,split\na.mp4,clap,Training\nb.mp4,wave,training\nc.mp4,wave,eval\n")
    layout = find_layout(tmp_path / "all.csv")
    assert layout.description == f"{tmp_path / 'all.csv'}: train 2 clips, test 1 clip, 2 classes"
    assert "there are no validation clips but 'test'" in layout.notes[0]


@pytest.mark.parametrize("above", ["mine", "mine/deeper", "mine/deeper/deepest"])
def test_a_folder_a_level_too_high_is_understood(tmp_path, above) -> None:
    lay(tmp_path / "plain" / above, "clap/a.mp4", "wave/b.mp4")
    lay(tmp_path / "split" / above, *both("train", "val"))
    (tmp_path / "plain" / "__MACOSX").mkdir()
    layout = find_layout(tmp_path / "plain")
    shape = tmp_path / "plain" / above / "CLASS" / "*.mp4"
    assert layout.description == f"{shape}: 2 clips, 2 classes"
    assert layout.train.annotations.class_names == ("clap", "wave")
    assert VideoDataset(**layout.train.dataset_config())[1]["label"] == 1
    assert find_layout(tmp_path / "split").val.path == tmp_path / "split" / above / "val"
    assert has_splits(tmp_path / "split")
    assert len(read_whole(tmp_path / "split").annotations) == 4


def test_a_class_whose_clips_are_sorted_further_stays_a_class(tmp_path) -> None:
    lay(tmp_path, "clap/day1/a.mp4", "clap/day2/b.mp4", "wave/day1/c.mp4", "wave/d.mp4")
    layout = find_layout(tmp_path)
    assert layout.train.annotations.class_names == ("clap", "wave")
    assert layout.description == f"{tmp_path}/CLASS/**/*.mp4: 4 clips, 2 classes"
    assert layout.notes == ()


def test_two_levels_that_may_be_swapped_are_said(tmp_path) -> None:
    lay(tmp_path, *(f"{person}/{name}/x.mp4" for person in ("anna", "ben") for name in ("clap", "wave")))
    (note,) = find_layout(tmp_path).train.annotations.notes
    assert note.startswith(
        "every class folder holds the folders 'clap', 'wave': the class is the outer folder, such as 'anna'"
    )


def test_splits_inside_of_the_class_folders_are_splits(tmp_path) -> None:
    lay(tmp_path, *(f"{name}/{split}/{split}.mp4" for name in ("clap", "wave") for split in ("Train", "valid", "test")))
    layout = find_layout(tmp_path)
    assert [len(split.annotations) for split in (layout.train, layout.val)] == [2, 2]
    assert layout.description == f"{tmp_path}/CLASS/SPLIT/*.mp4: train 2 clips, val 2 clips, 2 classes"
    assert layout.notes == ("'test' is left for `kinema test`",)
    dataset = VideoDataset(**layout.val.dataset_config())
    assert [dataset[index]["filename"] for index in range(2)] == [
        str(tmp_path / name / "valid" / "valid.mp4") for name in ("clap", "wave")
    ]


def test_splits_that_cannot_be_told_from_classes_are_refused(tmp_path) -> None:
    lay(tmp_path / "a", "val/clap/a.mp4", "clap/b.mp4", "wave/c.mp4")
    with pytest.raises(
        AnnotationError,
        match=r"a: holds the folder 'val' beside 'clap', 'wave', but no 'train': expected a/train/CLASS",
    ):
        find_splits(tmp_path / "a")
    lay(tmp_path / "b", "testing/clap/a.mp4")
    with pytest.raises(AnnotationError, match=r"b: holds the folder 'testing' alone, but no 'train'"):
        find_splits(tmp_path / "b")
    lay(tmp_path / "c", "train/clap/a.mp4", "Training/clap/a.mp4")
    with pytest.raises(AnnotationError, match="c: holds 'Training' and 'train', which both name the training clips"):
        find_splits(tmp_path / "c")
    lay(tmp_path / "d", "train/clap/a.mp4")
    with pytest.raises(AnnotationError, match=r"d: holds the folder 'train': name the part, by split='train' or as"):
        read_annotations(tmp_path / "d")
    # What a recognizer calls a class is one.
    lay(tmp_path / "e", "test/a.mp4", "free/b.mp4")
    assert len(read_annotations(tmp_path / "e", class_names=["free", "test"])) == 2


def test_videos_beside_the_class_folders_are_named(tmp_path) -> None:
    lay(tmp_path, "clap/a.mp4", "wave/b.mp4", "c.mp4")
    assert find_layout(tmp_path).train.annotations.notes == (
        f"1 videos in {tmp_path} lie in no class folder and are left out, the first is 'c.mp4'",
    )


def test_what_systems_leave_behind_is_no_class(tmp_path) -> None:
    junk = ("__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information")
    lay(tmp_path, "clap/a.mp4", "wave/b.mp4", *(f"{name}/x.mp4" for name in junk), "clap/@eaDir/a.mp4")
    assert list(find_splits(tmp_path)[0].annotations) == [("clap/a.mp4", (0,)), ("wave/b.mp4", (1,))]


def test_a_survey_says_the_layout_and_that_one_class_is_no_data_set(tmp_path) -> None:
    lay(tmp_path, "wave/a.mp4", "wave/b.mp4")
    survey = survey_dataset(tmp_path)
    assert survey.layout == f"{tmp_path}/CLASS/*.mp4: 2 clips, 1 class"
    assert "all clips are of one class, 'wave': there is nothing to tell apart" in [
        one.message for one in survey.problems
    ]
    lay(tmp_path / "two", *both("training", "testing"))
    assert survey_dataset(tmp_path / "two").notes[0].startswith("there are no validation clips but 'testing'")
