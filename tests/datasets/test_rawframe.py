import cv2
import numpy as np
import pytest

from kinema.datasets import RawframeDataset
from kinema.errors import AnnotationError

READ = [{"type": "SampleFrames", "clip_len": 3, "test_mode": True}, {"type": "RawFrameDecode"}]


def write_frames(folder, names_and_levels):
    folder.mkdir(parents=True)
    for name, level in names_and_levels.items():
        cv2.imwrite(str(folder / name), np.full((8, 8, 3), level, np.uint8))


def test_a_list_of_folders_is_read(tmp_path):
    (tmp_path / "train.txt").write_text("some clip/a 30 2\nb 7 0\n")
    dataset = RawframeDataset("train.txt", data_root=tmp_path, data_prefix={"img": "frames"})
    assert dataset[0] == {
        "frame_dir": str(tmp_path / "frames" / "some clip/a"),
        "total_frames": 30,
        "label": 2,
        "filename_tmpl": "img_{:05}.jpg",
        "start_index": 1,
        "modality": "RGB",
        "sample_idx": 0,
    }


def test_the_arguments_have_the_order_of_mmaction(tmp_path):
    (tmp_path / "train.txt").write_text("a 10 30 0 2\n")
    dataset = RawframeDataset(
        tmp_path / "train.txt", [], {"img": "x"}, "flow_{}_{:05d}.jpg", True, True, 3, 2, "Flow", True
    )
    sample = dataset[0]
    assert (sample["frame_dir"], sample["offset"], sample["total_frames"]) == ("x/a", 10, 30)
    assert (sample["filename_tmpl"], sample["start_index"], sample["modality"]) == ("flow_{}_{:05d}.jpg", 2, "Flow")
    assert (sample["label"].tolist(), dataset.test_mode) == ([1, 0, 1], True)


def test_the_frames_of_the_list_are_decoded_with_their_offset(tmp_path):
    write_frames(tmp_path / "a", {f"img_{number:05}.jpg": 10 * number for number in range(1, 13)})
    (tmp_path / "train.txt").write_text("a 4 3 0\n")
    sample = RawframeDataset("train.txt", READ, data_root=tmp_path, with_offset=True, data_prefix={"img": ""})[0]
    assert [round(float(frame.mean()), -1) for frame in sample["imgs"]] == [50, 60, 70]


def test_flow_has_two_files_a_frame(tmp_path):
    write_frames(
        tmp_path / "a",
        {f"flow_{axis}_{number:05d}.jpg": 20 * number + 100 * (axis == "y") for axis in "xy" for number in (1, 2, 3)},
    )
    (tmp_path / "train.txt").write_text(f"{tmp_path / 'a'} 3 0\n")
    dataset = RawframeDataset(tmp_path / "train.txt", READ, filename_tmpl="flow_{}_{:05d}.jpg", modality="Flow")
    assert [[int(one + 5) // 10 * 10 for one in frame.mean(axis=(0, 1))] for frame in dataset[0]["imgs"]] == [
        [20, 120],
        [40, 140],
        [60, 160],
    ]


def test_a_table_may_tell_the_lengths(tmp_path):
    (tmp_path / "train.csv").write_text("frame_dir,num_frames,label\na,12,run\nb,9,walk\n")
    dataset = RawframeDataset(tmp_path / "train.csv", ann_format="auto")
    assert [(info["frame_dir"], info["total_frames"], info["label"]) for info in dataset] == [("a", 12, 0), ("b", 9, 1)]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("a 30 0\nb 1\n", {}, r"train\.txt:2: expected 'folder total_frames label' with whole numbers, got 'b 1'"),
        (
            "a 0 30 0\nb 0\n",
            {"with_offset": True},
            r"train\.txt:2: expected 'folder offset total_frames label' .* got 'b 0'",
        ),
        ("a 0 1\n", {}, r"train\.txt:1: 'a' has 0 frames: expected at least 1"),
        ("a x\n", {}, r"train\.txt:1: expected 'folder total_frames label' with whole numbers, got 'a x'"),
        ("a 30\n", {}, r"train\.txt:1: expected 'path label' .*only test_mode=True takes clips without labels"),
    ],
)
def test_a_bad_line_is_named(tmp_path, text, options, message):
    (tmp_path / "train.txt").write_text(text)
    with pytest.raises(AnnotationError, match=message):
        RawframeDataset(tmp_path / "train.txt", **options)


def test_annotations_without_lengths_are_named(tmp_path):
    (tmp_path / "train.csv").write_text("path,label\na,0\n")
    with pytest.raises(AnnotationError, match=r"train\.csv: has no numbers of frames: expected"):
        RawframeDataset(tmp_path / "train.csv", ann_format="auto")
    (tmp_path / "train.csv").write_text("path,total_frames,label\na,5,0\nb,0,0\n")
    with pytest.raises(AnnotationError, match=r"train\.csv:3: 'b' has 0 frames: expected at least 1"):
        RawframeDataset(tmp_path / "train.csv", ann_format="auto")


def test_unlabelled_folders_are_for_tests(tmp_path):
    (tmp_path / "train.txt").write_text("a 30\nb 20\n")
    assert [info["label"] for info in RawframeDataset(tmp_path / "train.txt", test_mode=True)] == [-1, -1]


def test_a_subclass_may_change_the_dicts_that_it_gets(tmp_path):
    class Longer(RawframeDataset):
        def load_data_list(self):
            samples = super().load_data_list()
            for one in samples:
                one["total_frames"] += 5
            return samples

    (tmp_path / "train.txt").write_text("a 30 1\n")
    assert Longer(tmp_path / "train.txt")[0]["total_frames"] == 35
