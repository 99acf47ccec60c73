import pytest

from kinema.datasets import RawframeDataset, ShardDataset, VideoDataset, write_shards
from kinema.datasets.annotations import read_list
from kinema.datasets.annotations.grouping import source_video_of
from kinema.datasets.annotations.hold_out import HoldOut
from kinema.errors import AnnotationError, PartArgumentError


@pytest.fixture
def clips(tmp_path):
    """30 clips of 10 source videos and 2 classes."""
    lines = [
        f"v_{source % 2}_g{source:02}_c{number:02}.mp4 {source % 2}\n" for source in range(10) for number in range(3)
    ]
    (tmp_path / "all.txt").write_text("".join(lines))
    return tmp_path / "all.txt"


def test_the_sides_of_a_description_share_no_source_video(clips):
    whole = read_list(clips)
    train, val = (HoldOut(part=part, fraction=0.4, seed=3).take(whole) for part in ("train", "val"))
    assert sorted([*train.paths, *val.paths]) == sorted(whole.paths)
    assert len(val) == 12
    assert not set(map(source_video_of, train.paths)) & set(map(source_video_of, val.paths))
    assert list(HoldOut(part="val", fraction=0.4, seed=4).take(whole).paths) != list(val.paths)


def test_every_clip_is_held_out_in_one_fold(clips):
    whole = read_list(clips)
    held = [HoldOut(part="val", fold=fold, folds=3).take(whole).paths for fold in (1, 2, 3)]
    assert sorted(path for paths in held for path in paths) == sorted(whole.paths)
    for fold, paths in enumerate(held, start=1):
        train = HoldOut(part="train", fold=fold, folds=3).take(whole)
        assert sorted([*train.paths, *paths]) == sorted(whole.paths)


@pytest.mark.parametrize(
    "description",
    [
        {"part": "val", "fraction": 0.3, "by": "source", "seed": 2},
        {"part": "train", "fraction": 0.2, "by": "time", "seed": 0},
        {"part": "train", "fold": 2, "folds": 5, "by": "source", "seed": 1},
    ],
)
def test_a_description_comes_back_as_config(description):
    assert HoldOut(**description).as_config() == description


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"part": "test"}, "hold_out.part must be 'train' or 'val', got 'test'"),
        ({"by": "person"}, "hold_out.by must be 'source' or 'time', got 'person'"),
        ({"fraction": 1.0}, "hold_out.fraction must be above 0 and below 1, got 1.0"),
        ({"fold": 1}, "expected a fold from 1 to a number of folds of 2 or more, got 1 of None"),
        ({"fold": 0, "folds": 3}, "expected a fold from 1 to a number of folds of 2 or more, got 0 of 3"),
        ({"fold": 1, "folds": 3, "by": "time"}, "folds are by source video: leave out by='time'"),
    ],
)
def test_a_wrong_description_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        HoldOut(**{"part": "train", **wrong})


def test_what_cannot_be_held_out_is_named(clips):
    with pytest.raises(AnnotationError, match=r"all\.txt: nothing can be held out by time: expected parts of few long"):
        HoldOut(part="val", by="time").take(read_list(clips))
    with pytest.raises(AnnotationError, match="30 clips of 10 source videos cannot be put into 11 parts: take fewer"):
        HoldOut(part="val", fold=1, folds=11).take(read_list(clips))
    clips.write_text("a.mp4 0\nb.mp4 1\n")
    with pytest.raises(AnnotationError, match="no class has clips of two source videos, so none can be held out"):
        VideoDataset(clips, hold_out={"part": "val"})


def names(dataset, key="filename"):
    return [dataset.get_data_info(index)[key].rpartition("/")[2] for index in range(len(dataset))]


def test_datasets_read_one_side(clips):
    expected = {part: list(HoldOut(part=part).take(read_list(clips)).paths) for part in ("train", "val")}
    for part, paths in expected.items():
        assert names(VideoDataset(clips, hold_out={"part": part})) == paths
        assert names(VideoDataset(clips, hold_out={"part": part}, indices=2)) == paths[:2]
    lines = [line.replace(".mp4 ", " 9 ") for line in clips.read_text().splitlines()]
    (clips.parent / "frames.txt").write_text("\n".join(lines) + "\n")
    sides = [
        names(RawframeDataset(clips.parent / "frames.txt", hold_out={"part": part}), "frame_dir") for part in expected
    ]
    assert sides == [[path.removesuffix(".mp4") for path in paths] for paths in expected.values()]
    with pytest.raises(PartArgumentError, match=r"hold_out has no keyword 'fractoin' \(did you mean fraction\?\)"):
        VideoDataset(clips, hold_out={"part": "val", "fractoin": 0.1})


def test_shards_read_one_side_with_its_own_bytes(clips):
    for line in clips.read_text().splitlines():
        name = line.split()[0]
        (clips.parent / name).write_bytes(name.encode())
    folder = write_shards(VideoDataset(clips, data_prefix={"video": str(clips.parent)}), clips.parent / "shards").folder
    sides = [ShardDataset(folder, hold_out={"part": part}) for part in ("train", "val")]
    contents = [
        [dataset.get_data_info(index)["video_bytes"].read() for index in range(len(dataset))] for dataset in sides
    ]
    assert (len(contents[0]), len(contents[1]), len({*contents[0], *contents[1]})) == (24, 6, 30)
