import copy
import io
import pickle
import re

import numpy as np
import pytest
import torch

from kinema.structures import ActionDataSample, BaseDataElement, LabelData


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
    assert re.search(r"META INFORMATION\n\s+img_shape: \(4, 5\)", text)
    assert "frames: Tensor of shape (10, 20), torch.float32" in text
    assert "name: 'clip'" in text
    assert "LabelData(" in text
