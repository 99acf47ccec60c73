import numpy as np
import pytest

from kinema.errors import SampleError
from kinema.transforms import Compose, KeyMapper, RandomApply, RandomChoice


def add(number):
    def step(sample):
        sample["x"] = sample["x"] + number
        return sample

    return step


def reject(sample):
    return None


def test_transforms_run_as_often_as_asked():
    np.random.seed(0)
    draws = [np.random.rand() < 0.3 for _ in range(50)]
    np.random.seed(0)
    apply = RandomApply([add(1), add(10)], prob=0.3)
    assert [apply({"x": 0})["x"] == 11 for _ in range(50)] == draws
    assert RandomApply(dict(type="Rename", mapping={"x": "y"}), prob=1.0)({"x": 1}) == {"y": 1}


def test_one_choice_of_several_is_run():
    np.random.seed(0)
    choices = np.random.choice(3, size=50, p=[0.5, 0.25, 0.25])
    np.random.seed(0)
    one = RandomChoice([add(0), [add(1)], (add(1), add(1))], prob=[0.5, 0.25, 0.25])
    assert [one({"x": 0})["x"] for _ in range(50)] == choices.tolist()


def test_transforms_work_on_other_keys():
    sample = {"number": 3, "x": 100}
    mapped = KeyMapper(add(1), mapping={"x": "number"}, auto_remap=True)(sample)
    assert mapped is sample
    assert mapped == {"number": 4, "x": 100}
    assert KeyMapper(add(1), {"x": "number"}, {"x": "sum"})({"number": 3}) == {"number": 3, "sum": 4}
    assert KeyMapper(add(1), {"x": "number"})({"number": 3}) == {"number": 4}
    assert KeyMapper(add(1), {"x": "number"}, auto_remap=False)({"number": 3}) == {"number": 3, "x": 4}
    assert KeyMapper(add(1))({"x": 3}) == {"x": 4}


def test_keys_are_gathered_hidden_and_scattered():
    def swap(sample):
        assert "hidden" not in sample
        sample["pair"] = sample["pair"][::-1]
        sample["by_name"] = {"left": -sample["by_name"]["left"]}
        return sample

    mapper = KeyMapper(
        swap,
        mapping={"pair": ["a", "b"], "by_name": {"left": "c"}, "hidden": ...},
        remapping={"pair": ["a", "b"], "by_name": {"left": "d"}},
    )
    assert mapper({"a": 1, "b": 2, "c": 3, "hidden": 0}) == {"a": 2, "b": 1, "c": 3, "d": -3, "hidden": 0}
    hidden = KeyMapper(add(1), {"x": "number", "y": ...}, auto_remap=True)({"number": 3, "y": 5})
    assert hidden == {"number": 4, "y": 5}
    dropped = KeyMapper(add(1), {"x": "number"}, {"x": ...})({"number": 3})
    assert dropped == {"number": 3}


def test_keys_that_are_not_there_may_be_left_out():
    mapping = {"y": "absent", "x": "a"}
    assert KeyMapper(add(1), mapping, allow_nonexist_keys=True)({"a": 1}) == {"a": 2}
    seen = KeyMapper(add(1), mapping, auto_remap=False, allow_nonexist_keys=True)({"a": 1})
    assert seen == {"a": 1, "x": 2}


def test_a_rejected_sample_is_rejected():
    assert KeyMapper(reject)({"x": 1}) is None
    assert Compose([RandomChoice([reject])])({"x": 1}) is None


@pytest.mark.parametrize(
    ("run", "kind", "message"),
    [
        (lambda: RandomApply([], prob=1.5), ValueError, "prob must be within 0 and 1, got 1.5"),
        (lambda: RandomChoice([]), ValueError, "transforms must hold at least one choice"),
        (lambda: RandomChoice([reject], prob=[0.5]), ValueError, r"each of the 1 choices a share, 1 in sum, got \[0.5\]"),
        (lambda: KeyMapper(reject, {"a": "b"}, {"a": "c"}, auto_remap=True), ValueError, "takes the place of remapping"),
        (lambda: KeyMapper(reject, {"x": "a"})({"b": 1}), SampleError, "needs the key 'a', and the sample has b"),
        (
            lambda: KeyMapper(add(1), remapping={"z": "y"})({"x": 1}),
            SampleError,
            "remapping needs the keys z after its transforms",
        ),
        (
            lambda: KeyMapper(add(1), remapping={"x": ["y", "z"]})({"x": 1}),
            SampleError,
            "remapping needs a sequence of 2 after its transforms",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_composed_is_named(run, kind, message):
    with pytest.raises(kind, match=message):
        run()
