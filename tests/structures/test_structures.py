import copy
import io
import pickle
import re

import numpy as np
import pytest
import torch

from kinema.structures import ActionDataSample, BaseDataElement, InstanceData, LabelData


class Scored(BaseDataElement):
    """A user's element: the OpenMMLab way to declare a typed field."""

    @property
    def boxes(self) -> torch.Tensor:
        return self._boxes

    @boxes.setter
    def boxes(self, value) -> None:
        self.set_field(value, "_boxes", dtype=torch.Tensor)

    @boxes.deleter
    def boxes(self) -> None:
        del self._boxes


def element() -> BaseDataElement:
    return BaseDataElement(metainfo={"img_shape": (4, 5)}, score=torch.arange(3.0), name="clip")


# ---- metainfo and data


def test_metainfo_and_data_are_listed_apart() -> None:
    one = element()
    assert one.metainfo_keys() == ["img_shape"]
    assert one.keys() == ["score", "name"]
    assert one.all_keys() == ["img_shape", "score", "name"]
    assert one.metainfo_values() == [(4, 5)]
    assert one.values()[1] == "clip"
    assert one.all_values()[0] == (4, 5)
    assert dict(one.metainfo_items()) == one.metainfo == {"img_shape": (4, 5)}
    assert [name for name, _ in one.items()] == one.keys()
    assert [name for name, _ in one.all_items()] == one.all_keys()


def test_fields_are_attributes() -> None:
    one = element()
    one.label = 3
    assert one.label == 3
    assert one.img_shape == (4, 5)
    assert "label" in one
    assert "img_shape" in one
    del one.label
    assert "label" not in one
    assert one.get("label") is None
    assert one.get("label", 7) == 7
    assert one.get("img_shape") == (4, 5)


def test_metainfo_is_a_deep_copy() -> None:
    shape = [4, 5]
    one = BaseDataElement(metainfo={"img_shape": shape})
    shape[0] = 9
    assert one.img_shape == [4, 5]


def test_set_metainfo_replaces_metainfo() -> None:
    one = element()
    one.set_metainfo({"img_shape": (1, 1)})
    assert one.img_shape == (1, 1)


def test_an_assignment_cannot_overwrite_metainfo() -> None:
    with pytest.raises(AttributeError, match="cannot set 'img_shape' as a data field: it is a metainfo field of this"):
        element().img_shape = (1, 1)


def test_metainfo_cannot_take_the_name_of_a_data_field() -> None:
    with pytest.raises(AttributeError, match="cannot set 'score' as a metainfo field: it is a data field of this"):
        element().set_metainfo({"score": 1})


def test_a_key_in_both_is_refused_by_the_constructor() -> None:
    with pytest.raises(AttributeError, match="cannot set 'a' as a data field"):
        BaseDataElement(metainfo={"a": 1}, a=2)


def test_metainfo_must_be_a_dict() -> None:
    with pytest.raises(TypeError, match="metainfo must be a dict, got list"):
        BaseDataElement(metainfo=[1])


def test_data_must_be_a_dict() -> None:
    with pytest.raises(TypeError, match="data must be a dict, got int"):
        element().set_data(3)


def test_a_field_cannot_hide_a_method() -> None:
    with pytest.raises(AttributeError, match="'keys' is used by BaseDataElement itself and cannot be a field"):
        element().keys = 3
    with pytest.raises(AttributeError, match="'_data_fields' is used by BaseDataElement itself"):
        element()._data_fields = {}


def test_set_field_checks_the_type_and_the_kind() -> None:
    with pytest.raises(TypeError, match="score must be Tensor or ndarray, got int"):
        element().set_field(1, "_score", dtype=(torch.Tensor, np.ndarray))
    with pytest.raises(ValueError, match="field_type must be 'data' or 'metainfo', got 'other'"):
        element().set_field(1, "a", field_type="other")


def test_a_missing_field_names_those_that_are_there() -> None:
    with pytest.raises(
        AttributeError, match="BaseDataElement has no field 'labell'; its fields: img_shape, score, name"
    ):
        _ = element().labell
    with pytest.raises(AttributeError, match="its fields: none"):
        _ = BaseDataElement().x


def test_delete_takes_fields_of_both_kinds_and_refuses_missing_ones() -> None:
    one = element()
    del one.img_shape
    del one.score
    assert one.all_keys() == ["name"]
    with pytest.raises(AttributeError, match="has no field 'nothing'; its fields: img_shape, score, name"):
        del element().nothing


def test_pop_returns_and_removes_a_field_of_either_kind() -> None:
    one = element()
    shape = one.img_shape
    assert one.pop("name") == "clip"
    assert one.pop("img_shape") == shape
    assert one.all_keys() == ["score"]
    assert one.pop("name", 5) == 5
    one.img_shape = "free to be a data field now"
    assert one.keys() == ["score", "img_shape"]


def test_pop_refuses_missing_fields() -> None:
    with pytest.raises(KeyError, match="has no field 'x'; its fields: img_shape, score, name"):
        element().pop("x")
    with pytest.raises(TypeError, match="at most one default, got 2 defaults"):
        element().pop("x", 1, 2)


def test_update_takes_over_all_fields() -> None:
    one = element()
    one.update(BaseDataElement(metainfo={"img_shape": (1, 1), "fps": 25}, name="other"))
    assert one.metainfo == {"img_shape": (1, 1), "fps": 25}
    assert one.name == "other"
    assert one.score.tolist() == [0, 1, 2]


def test_update_needs_an_element() -> None:
    with pytest.raises(TypeError, match="can only update from a data element, got dict"):
        element().update({"a": 1})


# ---- properties of subclasses


def test_a_declared_field_is_listed_once_under_its_public_name() -> None:
    one = Scored(boxes=torch.ones(2))
    one.boxes = torch.zeros(2)
    assert one.keys() == ["boxes"]
    assert "boxes" in one
    assert one.get("boxes").tolist() == [0, 0]
    assert one.to_dict()["boxes"] is one.boxes
    assert one.new().boxes is one.boxes
    assert copy.deepcopy(one).boxes.tolist() == [0, 0]


def test_a_declared_field_checks_its_type() -> None:
    with pytest.raises(TypeError, match="boxes must be Tensor, got list"):
        Scored().boxes = [1]


@pytest.mark.parametrize("remove", [lambda one: one.pop("boxes"), lambda one: delattr(one, "boxes")])
def test_a_declared_field_can_be_removed(remove) -> None:
    one = Scored(boxes=torch.ones(2))
    remove(one)
    assert one.keys() == []
    with pytest.raises(AttributeError, match="Scored has no field 'boxes'"):
        _ = one.boxes


def test_a_declared_field_cannot_be_metainfo() -> None:
    with pytest.raises(AttributeError, match="'boxes' is declared as a data field of Scored and cannot be metainfo"):
        Scored().set_metainfo({"boxes": 1})


# ---- copies


def test_new_keeps_what_is_not_given() -> None:
    one = element()
    assert one.new().name == "clip"
    assert one.new(metainfo={}).metainfo == {}
    other = one.new(label=1)
    assert other.keys() == ["label"]
    assert other.img_shape == (4, 5)


def test_clone_shares_nothing_and_keeps_the_graph() -> None:
    weight = torch.ones(2, requires_grad=True)
    one = BaseDataElement(metainfo={"a": [1]}, score=weight * 2, nested=LabelData(item=weight * 3), plain=[1])
    other = one.clone()
    other.plain.append(2)
    other.score.data[0] = 9
    assert one.plain == [1]
    assert one.score.tolist() == [2, 2]
    (other.score.sum() + other.nested.item.sum()).backward()
    assert weight.grad.tolist() == [5, 5]


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))],
)
def test_copies_keep_fields_and_kinds(copied) -> None:
    one = element()
    one.inner = LabelData(item=torch.ones(1))
    other = copied(one)
    assert type(other) is BaseDataElement
    assert other.all_keys() == one.all_keys()
    assert other.inner.item.tolist() == [1]
    other.extra = 1
    assert "extra" not in one


def test_a_data_sample_passes_through_torch_save() -> None:
    buffer = io.BytesIO()
    torch.save(ActionDataSample().set_gt_label(2), buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=False).gt_label.tolist() == [2]


def test_tensors_are_converted_also_inside_elements_dicts_and_lists() -> None:
    one = BaseDataElement(
        metainfo={"kept": torch.ones(1)},
        plain=torch.ones(1, requires_grad=True),
        inner=LabelData(item=torch.ones(2)),
        parts={"rgb": torch.ones(3)},
        many=[torch.ones(1), "text"],
    )
    half = one.to(torch.float16)
    assert half.kept.dtype == torch.float32
    assert half.plain.dtype == half.inner.item.dtype == half.parts["rgb"].dtype == half.many[0].dtype == torch.float16
    assert one.plain.dtype == torch.float32
    assert not one.detach().plain.requires_grad
    assert one.cpu().inner.item.device.type == "cpu"
    arrays = one.numpy()
    assert isinstance(arrays.plain, np.ndarray)
    assert isinstance(arrays.parts["rgb"], np.ndarray)
    assert arrays.many[1] == "text"
    assert isinstance(arrays.to_tensor().inner.item, torch.Tensor)


@pytest.mark.skipif(torch.cuda.is_available(), reason="shows what happens without CUDA")
def test_cuda_asks_torch_to_move_tensors() -> None:
    with pytest.raises((AssertionError, RuntimeError), match="CUDA|NVIDIA"):
        element().cuda()


def test_to_dict_is_nested_and_plain() -> None:
    one = BaseDataElement(
        metainfo={"a": 1}, inner=LabelData(item=2), many=[LabelData(item=3)], parts={"x": LabelData(item=4)}
    )
    assert one.to_dict() == {"a": 1, "inner": {"item": 2}, "many": [{"item": 3}], "parts": {"x": {"item": 4}}}


def test_repr_shows_fields_and_the_shape_of_big_tensors() -> None:
    one = element()
    one.frames = torch.zeros(10, 20)
    one.inner = LabelData(item=1)
    text = repr(one)
    assert re.search(r"metainfo:\n\s+img_shape: \(4, 5\)", text)
    assert "frames: Tensor of shape (10, 20), torch.float32" in text
    assert "name: 'clip'" in text
    assert "LabelData(" in text


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


# ---- instances


def instances() -> InstanceData:
    return InstanceData(
        metainfo={"video": "a"},
        boxes=torch.arange(6).view(3, 2),
        scores=np.array([0.1, 0.2, 0.3]),
        names=["a", "b", "c"],
        code="xyz",
    )


def test_instances_have_a_length() -> None:
    assert len(instances()) == 3
    assert len(InstanceData()) == 0


def test_a_field_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="labels has 2 entries, but this InstanceData has 3 instances"):
        instances().labels = [1, 2]
    with pytest.raises(TypeError, match="labels must have one entry an instance, got int, which has no length"):
        instances().labels = 3


def test_the_only_field_may_change_its_length() -> None:
    one = InstanceData(boxes=torch.zeros(3))
    one.boxes = torch.zeros(2)
    assert len(one) == 2


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (1, ["b"]),
        (-1, ["c"]),
        (np.int64(0), ["a"]),
        (slice(0, 2), ["a", "b"]),
        (slice(None, None, -1), ["c", "b", "a"]),
        ([2, 0], ["c", "a"]),
        ([], []),
        ([True, False, True], ["a", "c"]),
        (torch.tensor([True, False, True]), ["a", "c"]),
        (torch.tensor([2, -3]), ["c", "a"]),
        (np.array([False, False, False]), []),
        (np.array([1, 1]), ["b", "b"]),
    ],
)
def test_instances_are_chosen_by_any_index(index, expected) -> None:
    chosen = instances()[index]
    positions = ["abc".index(name) for name in expected]
    assert chosen.names == expected
    assert chosen.boxes.tolist() == [[2 * one, 2 * one + 1] for one in positions]
    assert chosen.scores.tolist() == [[0.1, 0.2, 0.3][one] for one in positions]
    assert chosen.code == "".join("xyz"[one] for one in positions)
    assert chosen.video == "a"


def test_a_name_as_index_gives_the_field() -> None:
    assert instances()["names"] == ["a", "b", "c"]


def test_nested_instances_are_chosen_along() -> None:
    one = InstanceData(ids=[0, 1], inner=InstanceData(x=[5, 6]))
    assert one[1].inner.x == [6]
    assert InstanceData.cat([one, one]).inner.x == [5, 6, 5, 6]


def test_an_index_out_of_range_is_refused() -> None:
    with pytest.raises(IndexError, match="instance 3 is out of range: there are 3"):
        instances()[3]
    with pytest.raises(IndexError, match="a mask of 2 entries cannot choose from 3 instances"):
        instances()[[True, False]]


@pytest.mark.parametrize("index", [1.5, True, torch.zeros(2, 2, dtype=torch.long)])
def test_an_index_of_another_type_is_refused(index) -> None:
    with pytest.raises(TypeError, match="instances are chosen by an int, a slice"):
        instances()[index]


def test_cat_joins_all_fields() -> None:
    joined = InstanceData.cat([instances(), instances()[0]])
    assert len(joined) == 4
    assert joined.names == ["a", "b", "c", "a"]
    assert joined.boxes.shape == (4, 2)
    assert joined.scores.tolist() == [0.1, 0.2, 0.3, 0.1]
    assert joined.code == "xyzx"
    assert joined.video == "a"


def test_cat_needs_equal_fields() -> None:
    with pytest.raises(ValueError, match=r"must have the fields \['a'\], number 1 has \['b'\]"):
        InstanceData.cat([InstanceData(a=[1]), InstanceData(b=[1])])
    with pytest.raises(ValueError, match="cannot join an empty list of instances"):
        InstanceData.cat([])
    with pytest.raises(TypeError, match="the field a of type dict cannot be joined"):
        InstanceData.cat([InstanceData(a={1: 2}), InstanceData(a={1: 2})])


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
