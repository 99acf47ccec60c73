import io
import json
import os
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema.datasets import ShardDataset, VideoDataset, build_dataloader, write_shards
from kinema.datasets.annotations.shard_index import INDEX_FILE
from kinema.errors import AnnotationError, VideoError
from kinema.video.slices import FileSlice

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
    monkeypatch.setattr("kinema.datasets.annotations.shard_index.INDEX_FORMAT", 2)
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


# ---- hostile files


def entries_of(folder):
    with np.load(folder / INDEX_FILE) as arrays:
        return dict(arrays)


def facts_of(entries, **changes):
    facts = json.loads(entries["facts"].tobytes()) | changes
    return np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)


def test_an_index_that_was_cut_off_anywhere_is_named(shards):
    whole = (shards / INDEX_FILE).read_bytes()
    for length in [*range(0, len(whole) - 1, 211), len(whole) - 1]:
        (shards / INDEX_FILE).write_bytes(whole[:length])
        with pytest.raises(
            AnnotationError, match=r"kinema-index\.npz: .*: remove kinema-index\.npz, and it is made anew"
        ):
            ShardDataset(shards)
    (shards / INDEX_FILE).unlink()
    assert len(ShardDataset(shards)) == 7


def test_an_index_with_any_byte_changed_is_read_or_named(shards):
    whole = (shards / INDEX_FILE).read_bytes()
    expected = [info["filename"] for info in map(ShardDataset(shards).get_data_info, range(7))]
    messages = []
    places = range(0, len(whole), 97)
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        (shards / INDEX_FILE).write_bytes(changed)
        try:
            dataset = ShardDataset(shards)
        except AnnotationError as error:
            messages.append(str(error))
        else:
            assert [dataset.get_data_info(number)["filename"] for number in range(len(dataset))] == expected
    assert len(messages) > len(places) / 2
    assert all("kinema-index.npz" in message for message in messages)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shard": None}, "lacks the entry 'shard'"),
        ({"labels": np.zeros(3, dtype=np.int32)}, "its label_counts do not add up to its 3 labels"),
        ({"label_counts": np.full(7, 2)}, "its label_counts do not add up to its 7 labels"),
        ({"label_counts": np.ones(6, dtype=np.int64)}, "it has 6 label_counts of 7 clips"),
        ({"sizes": np.full(7, 10**12)}, "a clip lies outside of its shard"),
        ({"sizes": np.full(7, -1)}, "a clip lies outside of its shard"),
        ({"sizes": np.full(7, 2**63 - 1)}, "a clip lies outside of its shard"),
        ({"offsets": np.full(7, -5)}, "a clip lies outside of its shard"),
        ({"offsets": np.zeros(5, dtype=np.int64)}, "it has 5 offsets of 7 clips"),
        ({"shard": np.full(7, 99, dtype=np.int32)}, "a clip lies in a shard that it does not name"),
        ({"shard": np.zeros(0, dtype=np.int32)}, "it has 7 offsets of 0 clips"),
        ({"lengths": np.full(7, -1, dtype=np.int32)}, "its lengths do not add up"),
        ({"lengths": np.full(7, 2**40)}, "its lengths do not add up"),
        ({"shard_bytes": np.zeros((2, 2), dtype=np.int64)}, "the entry 'shard_bytes' is of type <i8 and shape"),
        ({"sizes": np.ones(7)}, "the entry 'sizes' is of type <f8"),
        ({"sizes": np.array([{}] * 7, dtype=object)}, "is no index of shards|is of type"),
        ({"other": np.ones(7)}, "holds the entry 'other.npy', which no index has"),
        ({"clip_starts": np.ones(3)}, "it has 3 clip_starts of 7 clips"),
        ({"facts": {"shards": ["../shard-000000.tar"]}}, "a shard lies in another folder"),
        ({"facts": {"shards": [1]}}, "the names of shards or classes are no texts"),
        ({"facts": {"shards": []}}, "sizes of 0 shards"),
        ({"facts": {"clip_unit": "hours"}}, "parts of clips are in 'hours'"),
        ({"facts": {"class_names": ["a\nb"]}}, "has a line break"),
        ({"facts": np.frombuffer(b"[" * 100_000, dtype=np.uint8)}, "is no index of shards"),
    ],
)
def test_an_index_that_does_not_go_together_is_named(shards, changes, message):
    entries = entries_of(shards)
    for name, value in changes.items():
        entries[name] = facts_of(entries, **value) if isinstance(value, dict) else value
    np.savez(shards / INDEX_FILE, **{name: one for name, one in entries.items() if one is not None})
    with pytest.raises(AnnotationError, match=rf"kinema-index\.npz: .*(?:{message}).*: remove kinema-index\.npz"):
        ShardDataset(shards)


def test_an_index_is_never_larger_in_memory_than_on_the_disk(shards):
    entries = entries_of(shards)
    np.savez_compressed(shards / INDEX_FILE, **(entries | {"texts": np.zeros(10**8, dtype=np.uint8)}))
    with pytest.raises(AnnotationError, match=r"is compressed, which no index is: remove"):
        ShardDataset(shards)
    np.savez(shards / INDEX_FILE, **entries)
    content = (shards / INDEX_FILE).read_bytes()
    at = content.index(b"'shape': (7,), }")
    huge = content[:at] + b"'shape': (10**9,), }"[:16] + content[at + 16 :]
    (shards / INDEX_FILE).write_bytes(huge)
    with pytest.raises(AnnotationError, match=r"kinema-index\.npz: .*: remove"):
        ShardDataset(shards)
    assert content[at : at + 16] == b"'shape': (7,), }"
    (shards / INDEX_FILE).write_bytes(content.replace(b"'shape': (7,), }    ", b"'shape': (70000,), }"))
    with pytest.raises(AnnotationError, match=r"kinema-index\.npz: .*: remove"):
        ShardDataset(shards)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_pipes_are_never_waited_for(tmp_path, shards):
    (shards / INDEX_FILE).unlink()
    os.mkfifo(shards / INDEX_FILE)
    with pytest.raises(AnnotationError, match=r"kinema-index\.npz: is a pipe, expected a regular file: remove"):
        ShardDataset(shards)
    (shards / INDEX_FILE).unlink()
    os.mkfifo(shards / "x.tar")
    with pytest.raises(
        AnnotationError, match=r"x\.tar: cannot be read as a tar file: is a pipe, expected a regular file"
    ):
        ShardDataset(shards)
    (tmp_path / "train.txt").write_text("x.mp4 0\n")
    for target in ("fifo", "/dev/zero"):
        (tmp_path / "x.mp4").unlink(missing_ok=True)
        os.mkfifo(tmp_path / "x.mp4") if target == "fifo" else (tmp_path / "x.mp4").symlink_to(target)
        with pytest.raises(
            AnnotationError, match=r"x\.mp4: cannot be read: is a (pipe|device), expected a regular file"
        ):
            write_shards(VideoDataset("train.txt", data_root=tmp_path), tmp_path / f"of_{Path(target).name}")
    with pytest.raises(VideoError, match="is a pipe, expected a regular file"):
        FileSlice(str(shards / "x.tar"), 0, 10).read()


def write_tar(path, *members):
    """Members of (name, kind, size in the header, content)."""
    with path.open("wb") as file:
        for name, kind, size, content in members:
            header = tarfile.TarInfo(name)
            header.type = kind
            header.linkname = "other" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            header.size = max(size, 0)
            block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
            if size < 0:
                block[124:136] = b"\xff" + (size % (1 << 88)).to_bytes(11, "big")  # GNU's binary form
                block[148:156] = b"        "
                block[148:156] = b"%06o\0 " % sum(block)
            file.write(block + content + b"\0" * (-len(content) % 512))
        file.write(b"\0" * 1024)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("1.mp4", b"0", -512, b"")], r"negative|has a size of -512 bytes|cannot be read as a tar file"),
        (
            [("1.mp4", b"0", -1024, b"x" * 512), ("2.mp4", b"0", 3, b"abc")],
            "negative|has a size of|cannot be read as a tar",
        ),
        ([("1.mp4", tarfile.SYMTYPE, 0, b"")], r"the member '1\.mp4' is a link"),
        ([("1.mp4", tarfile.LNKTYPE, 0, b"")], r"the member '1\.mp4' is a link"),
        ([("1.mp4", tarfile.GNUTYPE_SPARSE, 3, b"abc")], r"the member '1\.mp4' has holes|cannot be read as a tar"),
        ([("1.mp4", b"0", 10**12, b"abc")], r"ends in the member '1\.mp4', of 1000000000000 bytes"),
        ([("1.mp4", b"0", 10**6, b"abc")], r"ends in the member '1\.mp4', of 1000000 bytes"),
        ([("x", tarfile.GNUTYPE_LONGNAME, 10**11, b"abc")], "cannot be read as a tar file: a header of"),
        ([("x", tarfile.XHDTYPE, 10**11, b"abc")], "cannot be read as a tar file: a header of"),
        ([("x", tarfile.GNUTYPE_LONGNAME, 3, b"abc")] * 3000, "cannot be read as a tar file"),
        ([("1\n2.mp4", b"0", 3, b"abc")], r"the name '.*1\\n2\.mp4' has a line break"),
        ([("1.mp4", b"0", 3, b"abc"), ("1.json", b"0", 5000, b"[" * 5000)], r"the member '1\.json' is no JSON"),
        (
            [("1.mp4", b"0", 3, b"abc"), ("1.json", b"0", 16, b'{"labels": [{}]}')],
            "labels that are neither numbers nor texts",
        ),
        (
            [("1.mp4", b"0", 3, b"abc"), ("1.json", b"0", 23, b'{"start_seconds":"now"}')],
            "no number for 'start_seconds'",
        ),
        (
            [("1.mp4", b"0", 3, b"abc"), ("1.json", b"0", 23, b'{"start_seconds": 1e99}')],
            "no number for 'start_seconds'",
        ),
    ],
)
def test_wild_tar_files_are_named(tmp_path, members, message):
    write_tar(tmp_path / "a.tar", *members)
    with pytest.raises(AnnotationError, match=rf"(?:{message})") as caught:
        ShardDataset(tmp_path)
    assert "a.tar" in str(caught.value) or "shards" in str(caught.value) or str(tmp_path) in str(caught.value)


def test_a_slice_outside_of_its_file_allocates_nothing(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"x" * 100)
    for offset, count in ((0, 10**12), (10**12, 1), (-1, 5), (5, -1)):
        with pytest.raises(VideoError, match=r"a\.tar: ends at byte 100, expected"):
            FileSlice(str(tmp_path / "a.tar"), offset, count).read()
