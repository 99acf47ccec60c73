"""Classes of a data set among those of a larger one."""

import json
from pathlib import Path

import pytest
import torch

from kinema.checkpoints.file_formats import FileFormat
from kinema.checkpoints.label_maps import pick_classes, read_label_map
from kinema.checkpoints.reading import Checkpoint
from kinema.errors import CheckpointError, ConfigError

FORMAT = FileFormat("Net", lambda backbone: {}, of_head=r"^(head|norm)\.", classes=r"^head\.")


def test_a_label_map_is_a_list_of_numbers(tmp_path: Path) -> None:
    file = tmp_path / "map.json"
    file.write_text("[3, 0, 2]")
    assert read_label_map(file, 3) == [3, 0, 2]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1, 2]", r"map\.json: label_map must be a list of num_classes=3 numbers from 0, got 2 of them"),
        ("[1, 2, -1]", "must be a list of num_classes=3 numbers from 0$"),
        ("[1, 2, true]", "must be a list of num_classes=3 numbers from 0$"),
        ('{"0": 1}', "must be a list of num_classes=3 numbers from 0$"),
        ("[1, 2", r"map\.json: label_map cannot be read: "),
    ],
)
def test_any_other_file_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(ConfigError, match=problem):
        read_label_map(tmp_path / "map.json", 3)


def test_classes_are_taken_in_the_order_of_the_map_not_the_first_ones() -> None:
    state = {"module.head.weight": torch.arange(8.0).view(4, 2), "module.head.bias": torch.arange(4.0)}
    read = Checkpoint({**state, "module.norm.weight": torch.ones(4), "module.decoder.head.bias": torch.ones(2)})
    picked = pick_classes(read, FORMAT, [3, 0]).state
    assert picked["module.head.weight"].tolist() == [[6, 7], [0, 1]]
    assert picked["module.head.bias"].tolist() == [3, 0]
    assert len(picked["module.norm.weight"]) == 4
    assert len(picked["module.decoder.head.bias"]) == 2
    assert len(read.state["module.head.bias"]) == 4
    own = Checkpoint({"cls_head.fc_cls.bias": torch.arange(4.0), "backbone.head.bias": torch.ones(1)})
    assert pick_classes(own, None, [2]).state["cls_head.fc_cls.bias"].tolist() == [2]


def test_a_checkpoint_without_these_classes_is_refused() -> None:
    with pytest.raises(CheckpointError, match="net.pth holds no classifier, of whose classes label_map could take"):
        pick_classes(Checkpoint({"norm.weight": torch.ones(1)}, name="net.pth"), FORMAT, [0])
    with pytest.raises(CheckpointError, match=r"has 4 classes \(head\.bias\), but label_map names class 4"):
        pick_classes(Checkpoint({"head.bias": torch.ones(4)}), FORMAT, [0, 4])


def test_json_of_the_authors_is_such_a_list(tmp_path: Path) -> None:
    (tmp_path / "label_710to400.json").write_text(json.dumps([341, 158, 189, 16, 398, 302]))
    assert read_label_map(tmp_path / "label_710to400.json", 6)[:2] == [341, 158]
