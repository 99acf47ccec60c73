import itertools
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinema.datasets import BaseDataset, VideoDataset
from kinema.errors import AnnotationError, VideoError
from kinema.transforms import BaseTransform


class Numbers(BaseDataset):
    METAINFO = {"classes": ["even", "odd"]}

    def load_data_list(self):
        return [{"value": i, "label": i % 2} for i in range(10)]


class RejectOdd(BaseTransform):
    def transform(self, results):
        return results if results["label"] == 0 else None


@pytest.mark.parametrize("serialize_data", [True, False])
def test_samples_are_fresh_dicts_with_their_index(serialize_data) -> None:
    dataset = Numbers(serialize_data=serialize_data)
    assert len(dataset) == 10
    first = dataset[3]
    assert first == {"value": 3, "label": 1, "sample_idx": 3}
    first["value"] = 99
    assert dataset[3]["value"] == 3
    assert dataset.get_data_info(-1) == {"value": 9, "label": 1, "sample_idx": 9}
    assert dataset.get_cat_ids(4) == [0]
    with pytest.raises(IndexError, match="10"):
        dataset.get_data_info(10)


def test_stored_samples_leave_no_list_behind() -> None:
    dataset = Numbers()
    assert dataset.data_list == []
    assert pickle.loads(pickle.dumps(dataset))[7]["value"] == 7


@pytest.mark.parametrize("serialize_data", [True, False])
def test_indices_and_subsets_choose_samples(serialize_data) -> None:
    def values(dataset):
        return [dataset[i]["value"] for i in range(len(dataset))]

    assert values(Numbers(indices=3, serialize_data=serialize_data)) == [0, 1, 2]
    assert values(Numbers(indices=-2, serialize_data=serialize_data)) == [8, 9]
    assert values(Numbers(indices=[5, 1], serialize_data=serialize_data)) == [5, 1]
    dataset = Numbers(serialize_data=serialize_data)
    assert values(dataset.get_subset([2, 4])) == [2, 4]
    assert len(dataset) == 10
    dataset.get_subset_(2)
    assert values(dataset) == [0, 1]


def test_lazy_init_loads_at_the_first_use() -> None:
    dataset = Numbers(lazy_init=True)
    assert dataset._fully_initialized is False
    assert len(dataset) == 10


def test_metainfo_is_merged_and_handed_out_as_a_copy() -> None:
    dataset = Numbers(metainfo={"source": "made"})
    assert dataset.metainfo == {"classes": ["even", "odd"], "source": "made"}
    dataset.metainfo["classes"].append("more")
    assert dataset.metainfo["classes"] == ["even", "odd"]


def test_rejected_samples_are_replaced_in_training_only() -> None:
    np.random.seed(0)
    assert Numbers(pipeline=[RejectOdd()])[1]["label"] == 0
    with pytest.raises(ValueError, match="returned None for sample 1, which test mode does not replace"):
        Numbers(pipeline=[RejectOdd()], test_mode=True)[1]
    with pytest.raises(ValueError, match="the pipeline rejected sample 0 and 4 others"):
        Numbers(pipeline=[lambda sample: None], max_refetch=4)[0]


def test_a_broken_sample_is_not_taken_in_place_of_a_rejected_one() -> None:
    def refuse(sample):
        if sample["value"] > 1:
            raise VideoError(f"{sample['value']}.mp4: damaged")
        return sample

    dataset = Numbers(pipeline=[RejectOdd(), refuse])
    assert dataset[1]["value"] == 0
    with pytest.raises(VideoError, match=r"^4\.mp4: damaged"):
        dataset[4]


def test_filter_data_may_drop_samples() -> None:
    class Few(Numbers):
        def filter_data(self):
            return [info for info in self.data_list if info["value"] < self.filter_cfg["below"]]

    assert len(Few(filter_cfg={"below": 4})) == 4


def test_paths_are_joined_to_root_and_prefix(tmp_path) -> None:
    content = {"metainfo": {"classes": ["a"]}, "data_list": [{"img_path": "x.mp4", "label": 0}]}
    (tmp_path / "ann.json").write_text(json.dumps(content))
    dataset = BaseDataset("ann.json", data_root=str(tmp_path), data_prefix={"img_path": "clips"})
    assert dataset[0]["img_path"] == str(tmp_path / "clips" / "x.mp4")
    assert dataset.metainfo["classes"] == ["a"]


def test_a_bad_json_file_is_named(tmp_path) -> None:
    with pytest.raises(AnnotationError, match=r"absent\.json: cannot be read: No such file"):
        BaseDataset(tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text('{\n"a": }')
    with pytest.raises(AnnotationError, match=r"broken\.json:2: expected JSON"):
        BaseDataset(tmp_path / "broken.json")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(AnnotationError, match="expected an object with the keys 'metainfo' and 'data_list'"):
        BaseDataset(tmp_path / "other.json")


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(TypeError, match="metainfo must be a dict, got list"):
        Numbers(metainfo=["a"])
    with pytest.raises(TypeError, match="indices must be a whole number or a sequence of them, got str"):
        Numbers(indices="first")


def test_video_dataset_reads_a_list(tmp_path) -> None:
    (tmp_path / "train.txt").write_text("a.mp4 0\nsub/b.mp4 1\n")
    dataset = VideoDataset("train.txt", data_root=str(tmp_path), data_prefix=dict(video="clips"))
    assert dataset[1] == {
        "filename": str(tmp_path / "clips" / "sub/b.mp4"),
        "label": 1,
        "start_index": 0,
        "modality": "RGB",
        "sample_idx": 1,
    }


def test_data_prefix_works_without_data_root(tmp_path) -> None:
    (tmp_path / "train.txt").write_text("a.mp4 0\n")
    dataset = VideoDataset(str(tmp_path / "train.txt"), data_prefix=dict(video="clips"))
    assert dataset[0]["filename"] == "clips/a.mp4"
    assert VideoDataset(str(tmp_path / "train.txt"))[0]["filename"] == "a.mp4"


def test_video_dataset_makes_multi_hot_labels(tmp_path) -> None:
    (tmp_path / "train.txt").write_text("a.mp4 0 2\nb.mp4 1\n")
    dataset = VideoDataset(tmp_path / "train.txt", multi_class=True, num_classes=3)
    assert dataset[0]["label"].tolist() == [1, 0, 1]
    assert [sample["label"] for sample in dataset.load_data_list()] == [[0, 2], [1]]

    class Remapped(VideoDataset):
        def load_data_list(self) -> list[dict]:
            return [sample | {"label": [2 - label for label in sample["label"]]} for sample in super().load_data_list()]

    assert Remapped(tmp_path / "train.txt", multi_class=True, num_classes=3)[1]["label"].tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="multi_class=True needs num_classes"):
        VideoDataset(tmp_path / "train.txt", multi_class=True)


def test_video_dataset_reads_class_folders(tmp_path, make_video) -> None:
    for name in ("jump/a.mp4", "run/b.mp4"):
        make_video(tmp_path / name)
    dataset = VideoDataset(tmp_path)
    assert dataset.metainfo["classes"] == ["jump", "run"]
    assert [(info["filename"], info["label"]) for info in dataset] == [
        (str(tmp_path / "jump/a.mp4"), 0),
        (str(tmp_path / "run/b.mp4"), 1),
    ]


def test_unlabelled_clips_are_for_tests_only(tmp_path) -> None:
    (tmp_path / "test.txt").write_text("a.mp4\n")
    assert VideoDataset(tmp_path / "test.txt", test_mode=True)[0]["label"] == -1
    with pytest.raises(AnnotationError, match=r"test\.txt:1: expected 'path label'.*got 'a.mp4' \(only test_mode=True"):
        VideoDataset(tmp_path / "test.txt")


@pytest.mark.parametrize("label", [-1, 2, 400])
def test_a_label_out_of_range_names_its_line(tmp_path, label) -> None:
    (tmp_path / "train.txt").write_text(f"a.mp4 0\nb.mp4 1\nb.mp4 {label}\n")
    with pytest.raises(
        AnnotationError, match=rf"train\.txt:3: label {label} of 'b.mp4' is out of range: expected 0 to 1"
    ):
        VideoDataset(tmp_path / "train.txt", metainfo={"classes": ["x", "y"]})


def test_class_names_may_come_from_a_file(tmp_path) -> None:
    file = tmp_path / "classes.txt"
    file.write_text("even\nodd one\n")
    assert Numbers(metainfo={"classes": str(file)}).metainfo["classes"] == ["even", "odd one"]
    with pytest.raises(AnnotationError, match=r"none\.txt: the class names cannot be read: No such file"):
        Numbers(metainfo={"classes": tmp_path / "none.txt"})


def test_the_arguments_of_a_video_dataset_have_the_order_of_mmaction(tmp_path) -> None:
    (tmp_path / "train.txt").write_text("a.mp4 0 2\n")
    dataset = VideoDataset(tmp_path / "train.txt", [], {"video": "clips"}, True, 3, 1, "Flow", True)
    sample = dataset[0]
    assert (sample["filename"], sample["label"].tolist()) == ("clips/a.mp4", [1, 0, 1])
    assert (sample["start_index"], sample["modality"], dataset.test_mode) == (1, "Flow", True)


def test_no_annotation_file_stays_none_whatever_the_root() -> None:
    assert Numbers(ann_file="", data_root="clips").ann_file == ""
    assert Numbers(ann_file="train.txt", data_root="clips").ann_file == "clips/train.txt"


def test_pickled_samples_can_be_read_by_their_addresses() -> None:
    class Listed(BaseDataset):
        def load_data_list(self) -> list[dict[str, Any]]:
            return [{"name": "a" * place} for place in range(4)]

    for dataset in (Listed(), Listed(indices=[3, 1])):
        ends = dataset.data_address
        samples = [
            pickle.loads(dataset.data_bytes[end_before:end]) for end_before, end in itertools.pairwise([0, *ends])
        ]
        assert samples == [{"name": dataset.get_data_info(place)["name"]} for place in range(len(dataset))]
    with pytest.raises(AttributeError, match="the samples of this Listed are not pickled into data_bytes"):
        assert Listed(serialize_data=False).data_address


def test_facts_of_a_set_may_be_in_text_files(tmp_path: Path) -> None:
    (tmp_path / "colours.txt").write_text("red\nblue\n")
    facts = {"palette": str(tmp_path / "colours.txt"), "task": "plain text"}
    assert BaseDataset(metainfo=facts, lazy_init=True).metainfo == {"palette": ["red", "blue"], "task": "plain text"}


def test_samples_are_dicts_and_folders_paths(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"metainfo": {}, "data_list": "text"}')
    with pytest.raises(AnnotationError, match=r"a\.json: 'data_list' must be a list, got 'text'"):
        BaseDataset(file)

    class Texts(BaseDataset):
        def parse_data_info(self, raw_data_info: Any) -> Any:
            return "text"

    file.write_text('{"metainfo": {}, "data_list": [{}]}')
    with pytest.raises(TypeError, match="parse_data_info of Texts must return a dict or a list of dicts, got str"):
        Texts(file)
    with pytest.raises(TypeError, match=r"data_prefix\['img'\] must be a path, got int: 1"):
        BaseDataset(data_prefix={"img": 1}, lazy_init=True)
