import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.datasets import ShardDataset, VideoDataset, build_dataloader, write_shards
from kinema.datasets.shard_index import INDEX_FILE
from kinema.errors import AnnotationError, VideoError

READ = [{"type": "OpenVideo"}, {"type": "SampleFrames", "clip_len": 2}, {"type": "DecodeVideo"}]


@pytest.fixture
def videos(tmp_path, make_video):
    """Seven videos of 3, 4, ... frames in two class folders."""
    for index in range(7):
        make_video(tmp_path / "videos" / ("walk", "run")[index % 2] / f"{index}.mp4", num_frames=3 + index)
    return VideoDataset(tmp_path / "videos")


@pytest.fixture
def shards(tmp_path, videos):
    return write_shards(videos, tmp_path / "shards", shard_bytes=5000).folder


def lengths(dataset):
    pipeline = type(dataset.pipeline)([{"type": "OpenVideo"}])
    return [pipeline(dataset.get_data_info(index))["total_frames"] for index in range(len(dataset))]


def test_shards_give_the_videos_back_by_index(shards, videos):
    dataset = ShardDataset(shards, READ)
    assert len(list(shards.glob("shard-*.tar"))) > 1
    assert dataset.metainfo["classes"] == ["run", "walk"]
    assert lengths(dataset) == lengths(videos)
    assert [dataset.get_data_info(i)["label"] for i in range(7)] == [videos.get_data_info(i)["label"] for i in range(7)]
    assert dataset[3]["imgs"].shape == (2, 48, 64, 3)
    assert dataset.get_data_info(0)["filename"] == str(shards / "shard-000000.tar" / "000000000.mp4")


def test_only_the_bytes_of_one_video_are_read(shards):
    sliced = ShardDataset(shards).get_data_info(5)["video_bytes"]
    with tarfile.open(sliced.path) as tar:
        member = next(one for one in tar if one.name == "000000005.mp4")
        assert (sliced.offset, sliced.num_bytes) == (member.offset_data, member.size)
        assert sliced.read() == tar.extractfile(member).read()


def test_the_layout_is_that_of_webdataset(shards):
    with tarfile.open(shards / "shard-000000.tar") as tar:
        assert [one.name for one in tar][:3] == ["000000000.mp4", "000000000.cls", "000000000.json"]
        assert tar.extractfile("000000000.cls").read() == b"0"
        facts = json.load(tar.extractfile("000000000.json"))
    assert (facts["labels"], facts["classes"]) == ([0], ["run"])


def test_the_same_clips_give_the_same_files_and_a_seed_mixes_them(tmp_path, shards, videos):
    again = write_shards(videos, tmp_path / "again", shard_bytes=5000).folder
    assert (again / "shard-000000.tar").read_bytes() == (shards / "shard-000000.tar").read_bytes()
    mixed = ShardDataset(write_shards(videos, tmp_path / "mixed", shuffle_seed=3).folder)
    assert lengths(mixed) != lengths(videos)
    assert sorted(lengths(mixed)) == sorted(lengths(videos))


def test_shards_of_others_get_an_index(tmp_path, make_video):
    folder = tmp_path / "foreign"
    folder.mkdir()
    with tarfile.open(folder / "a.tar", "w") as tar:
        for name, content in {
            "x/1.cls": b"4",
            "x/1.mp4": make_video(num_frames=4).read_bytes(),
            "x/2.txt": b"no video here",
            "x/3.MP4": make_video(num_frames=6).read_bytes(),
            "x/3.json": b'{"label": 2, "start_seconds": 0.2}',
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    dataset = ShardDataset(folder)
    assert (folder / INDEX_FILE).is_file()
    assert [dataset.get_data_info(index)["label"] for index in range(2)] == [4, 2]
    assert lengths(dataset) == lengths(ShardDataset(folder)) == [4, 4]


def test_parts_and_several_labels_survive(tmp_path, make_video):
    make_video(tmp_path / "a.mp4", num_frames=20)
    (tmp_path / "all.csv").write_text("path,label,start,end\na.mp4,0|2,0.5,1.0\na.mp4,1,,0.3\n")
    dataset = VideoDataset("all.csv", data_root=tmp_path, multi_class=True, num_classes=3)
    copy = ShardDataset(write_shards(dataset, tmp_path / "shards").folder, multi_class=True, num_classes=3)
    assert lengths(copy) == lengths(dataset) == [5, 3]
    assert copy.get_data_info(0)["label"].tolist() == [1, 0, 1]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_epoch_goes_on_where_it_stopped(shards, num_workers):
    def batches(start):
        loader = build_dataloader(
            {"dataset": ShardDataset(shards, READ), "batch_size": 2, "num_workers": num_workers}, seed=7
        )
        loader.set_epoch(3)
        return [torch.as_tensor(np.stack(batch["imgs"])) for batch in loader][start:]

    assert all(torch.equal(one, two) for one, two in zip(batches(1), batches(0)[1:], strict=True))


def test_bad_folders_of_shards_are_named(tmp_path, shards, videos):
    with pytest.raises(AnnotationError, match="holds shards already: name another folder"):
        write_shards(videos, shards)
    with pytest.raises(AnnotationError, match=r"expected a folder of tar files .*, found none"):
        ShardDataset(tmp_path / "videos")
    with pytest.raises(ValueError, match="shard_bytes must be at least 1, got 0"):
        write_shards(videos, tmp_path / "other", shard_bytes=0)
    last = sorted(shards.glob("*.tar"))[-1]
    last.write_bytes(last.read_bytes() + b"\0" * 512)
    with pytest.raises(
        AnnotationError, match=r"\.tar: has \d+ bytes, the index was made of \d+: restore it, or remove"
    ):
        ShardDataset(shards)
    last.unlink()
    with pytest.raises(AnnotationError, match=r"\.tar: is not there: restore it, or remove kinema-index.npz"):
        ShardDataset(shards)
    (shards / INDEX_FILE).write_bytes(b"broken")
    with pytest.raises(AnnotationError, match=r"kinema-index.npz: is no index of shards: remove"):
        ShardDataset(shards)
    (shards / INDEX_FILE).unlink()
    (shards / "shard-000000.tar").write_bytes(b"broken")
    with pytest.raises(AnnotationError, match=r"shard-000000.tar: cannot be read as a tar file"):
        ShardDataset(shards)


def test_an_index_of_a_later_format_is_named(shards, monkeypatch):
    monkeypatch.setattr("kinema.datasets.shard_index.INDEX_FORMAT", 2)
    with pytest.raises(AnnotationError, match="expected an index of format 2, got 1: remove"):
        ShardDataset(shards)


def test_shards_without_videos_or_with_bad_facts_are_named(tmp_path):
    def tar_of(name, content):
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))

    tar_of("1.txt", b"text")
    with pytest.raises(AnnotationError, match="none of its 1 tar files holds a video"):
        ShardDataset(tmp_path)
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("1.mp4", "1.json"):
            member = tarfile.TarInfo(name)
            member.size = 3
            tar.addfile(member, io.BytesIO(b"{no"))
    with pytest.raises(AnnotationError, match=r"a\.tar: the member '1\.json' is no JSON"):
        ShardDataset(tmp_path)


def test_a_video_that_is_not_there_stops_the_writing_and_leaves_no_half_shard(tmp_path):
    (tmp_path / "train.txt").write_text("gone.mp4 0\n")
    with pytest.raises(AnnotationError, match=r"gone\.mp4: cannot be read: No such file"):
        write_shards(VideoDataset("train.txt", data_root=tmp_path), tmp_path / "shards")
    assert list((tmp_path / "shards").iterdir()) == []


def test_a_shard_that_was_cut_off_is_named(shards):
    dataset = ShardDataset(shards)
    sliced = dataset.get_data_info(0)["video_bytes"]
    with Path(sliced.path).open("r+b") as file:
        file.truncate(sliced.offset + 10)
    with pytest.raises(VideoError, match=r"shard-000000\.tar: ends at byte \d+, expected \d+ bytes from 512 on"):
        sliced.read()
    (shards / "shard-000000.tar").unlink()
    with pytest.raises(VideoError, match=r"shard-000000\.tar: cannot be read: No such file"):
        sliced.read()
