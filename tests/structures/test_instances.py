import numpy as np
import pytest
import torch

from kinema.structures import InstanceData


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


class Boxes:
    """Entries that only slices and its own `cat` take apart and join, as in detection libraries."""

    def __init__(self, rows: list[int]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: slice) -> "Boxes":
        return Boxes(self.rows[index])

    @staticmethod
    def cat(parts: list["Boxes"]) -> "Boxes":
        return Boxes([row for part in parts for row in part.rows])


def test_fields_that_join_themselves_are_taken_apart_and_joined_by_their_own_cat() -> None:
    data = InstanceData(boxes=Boxes([1, 2, 3]), scores=torch.arange(3))
    assert data[torch.tensor([True, False, True])].boxes.rows == [1, 3]
    assert data[[]].boxes.rows == []
    assert InstanceData.cat([data, data]).boxes.rows == [1, 2, 3, 1, 2, 3]


def test_a_field_is_written_by_its_name() -> None:
    instances = InstanceData()
    instances["boxes"] = [1, 2]
    assert instances.boxes == [1, 2]
