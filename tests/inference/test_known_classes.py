import logging

import pytest

from kinema.inference.known_classes import public_classes


def config_of(**dataset):
    return {"train_dataloader": {"dataset": {"type": "VideoDataset", **dataset}}, "load_from": "kinetics400.pth"}


def test_the_data_of_a_config_name_the_classes(caplog):
    caplog.set_level(logging.INFO, "kinema")
    config = config_of(ann_file="data/kinetics400/train.txt", data_prefix={"video": "data/kinetics400/videos_train"})
    assert public_classes(config, 400, "work/a.pth")[6] == "arm wrestling"
    assert "work/a.pth: names no classes; by its config they are those of Kinetics-400" in caplog.text
    old = {"data": {"val": {"ann_file": ["x/ucf101/a.txt"]}}, "dataset_type": "VideoDataset"}
    assert public_classes(old, 101, "a.pth")[0] == "ApplyEyeMakeup"


def test_the_name_of_a_file_counts_only_where_the_config_names_no_data(caplog):
    caplog.set_level(logging.INFO, "kinema")
    name = "https://a.b/tsm_r50_8xb16_sthv2-rgb_2023.pth"
    assert public_classes({"model": {}}, 174, name)[173].startswith("Wiping something off")
    assert "by the name of the file they are those of Something-Something V2" in caplog.text
    assert public_classes(config_of(ann_file="data/mine/train.txt"), 174, name) == ()
    assert public_classes({}, 400, "/data/kinetics400/mine.pth") == (), "a folder is not the file's name"


@pytest.mark.parametrize("num_classes", [399, None, "400", 51])
def test_another_number_of_classes_is_another_set(num_classes):
    assert public_classes(config_of(ann_file="data/kinetics400/train.txt"), num_classes, "a.pth") == ()


def test_a_set_without_names_here_is_said(caplog):
    caplog.set_level(logging.INFO, "kinema")
    assert public_classes(config_of(ann_file="data/kinetics600/train.txt"), 600, "a.pth") == ()
    assert "trained on Kinetics-600 by its config, whose class names are not known here" in caplog.text
