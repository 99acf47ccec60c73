import numpy as np
import pytest
import torch

from kinema.structures import ActionDataSample, InstanceData, LabelData

# ---- labels


def test_onehot_and_label_are_inverse() -> None:
    onehot = torch.tensor([0, 1, 0, 1])
    assert LabelData.onehot_to_label(onehot).tolist() == [1, 3]
    assert LabelData.label_to_onehot(torch.tensor([1, 3]), 4).tolist() == [0, 1, 0, 1]
    assert LabelData.label_to_onehot(torch.tensor([], dtype=torch.long), 2).tolist() == [0, 0]


@pytest.mark.parametrize("onehot", [torch.tensor([0, 2]), torch.zeros(1, 2)])
def test_onehot_must_be_one_row_of_zeros_and_ones(onehot) -> None:
    with pytest.raises(ValueError, match="expected one dimension of zeros and ones, got shape"):
        LabelData.onehot_to_label(onehot)


@pytest.mark.parametrize("label", [4, -1])
def test_label_to_onehot_refuses_a_label_out_of_range(label) -> None:
    with pytest.raises(ValueError, match=r"labels must be in \[0, 4\), got \[1, -?\d\]"):
        LabelData.label_to_onehot(torch.tensor([1, label]), 4)


# ---- action data samples


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2, torch.tensor([2])),
        (np.int64(2), torch.tensor([2])),
        (np.array(2), torch.tensor([2])),
        ([0, 2], torch.tensor([0, 2])),
        (np.array([0, 2], np.int32), torch.tensor([0, 2])),
        (torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0])),
    ],
)
def test_labels_become_tensors(value, expected) -> None:
    sample = ActionDataSample().set_gt_label(value).set_pred_label(value)
    for label in (sample.gt_label, sample.pred_label):
        assert label.dtype == expected.dtype
        assert torch.equal(label, expected)


@pytest.mark.parametrize("value", ["3", 2.5, None])
def test_a_label_of_another_type_is_refused(value) -> None:
    with pytest.raises(TypeError, match="a label must be an int, a sequence of ints"):
        ActionDataSample().set_gt_label(value)


def test_scores_become_tensors() -> None:
    tensor = torch.tensor([0.25, 0.75])
    assert ActionDataSample().set_pred_score(tensor).pred_score is tensor
    for value in ([0.25, 0.75], (0.25, 0.75), np.array([0.25, 0.75], np.float32)):
        score = ActionDataSample().set_pred_score(value).pred_score
        assert torch.equal(score, tensor)
    parts = ActionDataSample().set_pred_score({"rgb": tensor, "pose": [1.0, 0.0]}).pred_score
    assert parts["rgb"] is tensor
    assert parts["pose"].tolist() == [1, 0]
    with pytest.raises(
        TypeError, match="scores must be a sequence of floats, an array, a tensor or a dict of these, got str"
    ):
        ActionDataSample().set_pred_score("high")


def test_scores_say_how_many_classes_there_are() -> None:
    sample = ActionDataSample().set_pred_score([0.1, 0.9])
    assert (sample.num_classes, sample.metainfo) == (2, {"num_classes": 2})
    sample.set_pred_score(torch.zeros(3, 2))  # of three views
    with pytest.raises(ValueError, match=r"the sample is of 2 classes \(`num_classes`\), got 3 scores"):
        sample.set_pred_score([0.1, 0.2, 0.7])
    assert "num_classes" not in ActionDataSample().set_pred_score({"rgb": [0.1]})


def test_pred_scores_written_by_the_guides_head_are_the_pred_score() -> None:
    score = torch.tensor([0.25, 0.75])
    sample = ActionDataSample()
    sample.pred_scores = LabelData(item=score)
    assert sample.pred_score is score
    assert sample.pred_scores.item is score
    assert sample.to_dict()["pred_score"] is score
    assert sample.keys() == ["pred_score"]
    assert "pred_scores" in sample


def test_pred_score_is_read_by_its_old_name() -> None:
    score = torch.tensor([0.25, 0.75])
    sample = ActionDataSample()
    assert "pred_scores" not in sample
    with pytest.raises(AttributeError, match="ActionDataSample has no field 'pred_scores'"):
        _ = sample.pred_scores
    assert sample.set_pred_score(score).pred_scores.item is score


def test_another_value_called_pred_scores_is_an_ordinary_field() -> None:
    sample = ActionDataSample(pred_scores=torch.ones(2))
    assert sample.pred_scores.tolist() == [1, 1]
    assert sample.keys() == ["pred_scores"]
    assert "pred_scores" in sample


@pytest.mark.parametrize("name", ["proposals", "gt_instances", "pred_instances", "features"])
def test_instance_fields_must_be_instance_data(name) -> None:
    sample = ActionDataSample()
    with pytest.raises(AttributeError, match=f"ActionDataSample has no field '{name}'"):
        getattr(sample, name)
    with pytest.raises(TypeError, match=f"{name} must be InstanceData, got list"):
        setattr(sample, name, [1])
    setattr(sample, name, InstanceData(boxes=torch.ones(2, 4)))
    assert sample.keys() == [name]
    assert getattr(sample.to(torch.float64), name).boxes.dtype == torch.float64
    delattr(sample, name)
    assert name not in sample


def test_metainfo_of_a_data_sample_is_read_as_attributes() -> None:
    sample = ActionDataSample()
    sample.set_metainfo({"img_shape": (224, 224), "num_clips": 1})
    assert sample.img_shape == (224, 224)
    assert sample.to_dict() == {"img_shape": (224, 224), "num_clips": 1}


def test_a_label_has_one_dimension_at_least() -> None:
    assert ActionDataSample().set_gt_label(torch.tensor(3)).gt_label.tolist() == [3]
