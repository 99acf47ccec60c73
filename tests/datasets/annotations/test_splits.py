import pytest

from kinema.datasets.annotations import find_splits, read_list, read_split, split_by_group, write_list
from kinema.datasets.annotations.folders import has_splits
from kinema.datasets.annotations.splits import find_layout
from kinema.errors import AnnotationError


@pytest.fixture
def lists(tmp_path, make_video):
    for name in ("train/a.mp4", "train/b.mp4", "val/c.mp4"):
        make_video(tmp_path / name, num_frames=2)
    (tmp_path / "train.txt").write_text("a.mp4 0\nb.mp4 1\n")
    (tmp_path / "val.txt").write_text("val/c.mp4 1\n")
    return tmp_path


@pytest.fixture
def tree(tmp_path, make_video):
    for name in ("train/jump/a.mp4", "train/run/b.mp4", "test/run/c.mp4"):
        make_video(tmp_path / name, num_frames=2)
    return tmp_path


@pytest.mark.parametrize("name", ["", "train.txt"])
def test_lists_are_found_and_their_clips_beside_them(lists, name):
    train, val = find_splits(lists / name)
    assert (train.path, train.video_root) == (lists / "train.txt", lists / "train")
    assert (val.path, val.video_root) == (lists / "val.txt", lists)


def test_class_folders_of_both_splits_are_found(tree):
    train, val = find_splits(tree)
    assert train.path == tree / "train"
    assert val.path == tree / "test"
    assert list(val.annotations) == [("run/c.mp4", (1,))]


def test_a_plain_tree_has_no_validation_clips(tree):
    assert find_splits(tree / "train")[1] is None
    _, val = find_splits(tree / "train", val=tree / "test")
    assert val.annotations.class_names == ("jump", "run")


def test_what_is_missing_is_named(tmp_path, lists):
    with pytest.raises(AnnotationError, match="absent: there is no such file or folder: expected a list"):
        find_splits(tmp_path / "absent")
    with pytest.raises(AnnotationError, match=r"absent\.txt: there is no such file or folder: expected a list"):
        find_splits(lists, val=lists / "absent.txt")
    (lists / "other.txt").write_text("gone.mp4 0\n")
    with pytest.raises(AnnotationError, match=r"other\.txt:1: the clip 'gone.mp4' is not there: looked in "):
        read_split(lists / "other.txt")


def test_holding_out_takes_a_share_of_each_class_that_depends_on_paths_and_seed_alone(tmp_path, make_video):
    clip = make_video(tmp_path / "x.mp4", num_frames=2)
    lines = [f"x.mp4 {label}\n" for label in (0,)]
    (tmp_path / "one.txt").write_text("".join(lines))
    for index in range(30):
        (tmp_path / f"{index}.mp4").hardlink_to(clip)
    (tmp_path / "many.txt").write_text("".join(f"{index}.mp4 {index % 3}\n" for index in range(30)))
    split = read_split(tmp_path / "many.txt")
    train, held = map(list, split_by_group(split.annotations, share=0.2, seed=1))
    assert sorted(train + held) == sorted(split.annotations)
    assert sorted(record.labels[0] for record in held) == [0, 0, 1, 1, 2, 2]
    assert list(split_by_group(split.annotations, share=0.2, seed=1)[1]) == held
    assert list(split_by_group(split.annotations, share=0.2, seed=2)[1]) != held
    assert len(split_by_group(read_split(tmp_path / "one.txt").annotations)[1]) == 0  # a class with one clip keeps it


def test_written_lists_can_lie_anywhere(lists, tmp_path):
    split = read_split(lists / "train.txt")
    write_list(tmp_path / "deep" / "train.txt", split.annotations, split.video_root)
    moved = read_split(tmp_path / "deep" / "train.txt")
    assert [record.labels for record in moved.annotations] == [(0,), (1,)]
    assert read_list(tmp_path / "deep" / "train.txt")[0].path == str((lists / "train" / "a.mp4").resolve())


def test_splits_are_found_in_any_case_of_letters(tmp_path, make_video):
    for name in ("Train/run/a.mp4", "VAL/run/b.mp4"):
        make_video(tmp_path / name, num_frames=2)
    assert has_splits(tmp_path)
    assert not has_splits(tmp_path / "Train")
    train, val = find_splits(tmp_path)
    assert (train.path, val.path) == (tmp_path / "Train", tmp_path / "VAL")


def test_a_clip_that_is_listed_twice_stays_on_one_side(tmp_path):
    for index in range(4):
        (tmp_path / f"{index}.mp4").touch()
    (tmp_path / "all.txt").write_text("".join(f"{index}.mp4 0\n" for index in range(4)) * 2)
    train, held = split_by_group(read_split(tmp_path / "all.txt").annotations)
    assert (len(train), len(held)) == (6, 2)
    assert not set(train) & set(held)


def test_a_list_with_names_for_labels_says_what_was_expected(tmp_path):
    (tmp_path / "all.txt").write_text("# my clips\n\na wave\nb clap\n")
    message = r"all\.txt:3: the clip 'a wave' is not there: .*; expected 'path label' lines with whole-number labels"
    with pytest.raises(AnnotationError, match=message):
        read_split(tmp_path / "all.txt")


def test_a_list_that_is_both_parts_is_named_twice(tmp_path):
    (tmp_path / "a.mp4").touch()
    (tmp_path / "all.txt").write_text("a.mp4 0\na.mp4 1\n")
    file = tmp_path / "all.txt"
    assert find_layout(file, file).description == f"{file}: 2 clips, {file}: 2 clips, 2 classes"
