import itertools
from typing import Any

import pytest

from kinema.datasets import BaseDataset, ClassBalancedDataset, ConcatDataset, InfiniteSampler, RepeatDataset
from kinema.errors import ConfigError
from kinema.registry import DATASETS


class Letters(BaseDataset):
    METAINFO = {"classes": ["a", "b"]}

    def __init__(self, letters="ab", **keywords):
        self.letters = letters
        super().__init__(**keywords)

    def load_data_list(self):
        return [{"letter": letter, "label": int(letter != "a")} for letter in self.letters]


DATASETS.register_module(name="WrappedLetters", module=Letters)


def letters_of(dataset):
    return "".join(dataset[index]["letter"] for index in range(len(dataset)))


def test_a_dataset_comes_several_times():
    repeated = RepeatDataset(dict(type="WrappedLetters", letters="abc"), times=3)
    assert letters_of(repeated) == "abcabcabc"
    assert repeated.metainfo == {"classes": ["a", "b"]}
    assert repeated.get_data_info(4)["letter"] == "b"
    assert repeated.test_mode is False


def test_datasets_come_in_a_row():
    joined = ConcatDataset([Letters("ab"), dict(type="WrappedLetters", letters="cde")])
    assert letters_of(joined) == "abcde"
    assert joined[-1]["letter"] == "e"
    assert joined.get_data_info(2)["letter"] == "c"
    assert joined.get_cat_ids(0) == [0]
    with pytest.raises(IndexError, match="sample 5 of a dataset of 5"):
        joined[5]


def test_rare_classes_come_more_often():
    balanced = ClassBalancedDataset(Letters("aaaaaaab"), oversample_thr=0.5)
    assert letters_of(balanced) == "aaaaaaabb"  # sqrt(0.5 / 0.125) = 2
    assert letters_of(ClassBalancedDataset(Letters("aabb"), oversample_thr=0.5)) == "aabb"


def test_wrappers_load_late_when_asked_to():
    lazy = RepeatDataset(Letters("ab", lazy_init=True), times=2, lazy_init=True)
    assert lazy.dataset._fully_initialized is False
    assert len(lazy) == 4


def test_what_cannot_be_wrapped_is_named():
    with pytest.raises(ValueError, match="times must be at least 1, got 0"):
        RepeatDataset(Letters(), times=0)
    with pytest.raises(ValueError, match="oversample_thr must be above 0 and at most 1, got 2"):
        ClassBalancedDataset(Letters(), 2)
    with pytest.raises(ConfigError, match="needs at least one dataset"):
        ConcatDataset([])
    others = [Letters(), Letters(metainfo={"classes": ["x"]})]
    with pytest.raises(ConfigError, match="dataset 1 has another 'classes' in its metainfo than dataset 0"):
        ConcatDataset(others)
    assert len(ConcatDataset(others, ignore_keys="classes")) == 4


def test_an_infinite_sampler_goes_on_and_splits_between_processes(monkeypatch):
    assert list(itertools.islice(InfiniteSampler(range(3), shuffle=False), 7)) == [0, 1, 2, 0, 1, 2, 0]
    whole = list(itertools.islice(InfiniteSampler(range(5), seed=1), 20))
    assert all(sorted(whole[start : start + 5]) == list(range(5)) for start in range(0, 20, 5))
    assert whole[:5] != whole[5:10]
    monkeypatch.setattr("kinema.datasets.samplers.get_world_size", lambda: 2)
    parts = []
    for rank in range(2):
        monkeypatch.setattr("kinema.datasets.samplers.get_rank", lambda rank=rank: rank)
        parts.append(list(itertools.islice(InfiniteSampler(range(5), seed=1), 10)))
    assert [one for pair in zip(*parts, strict=True) for one in pair] == whole


def test_wrappers_say_where_their_samples_come_from() -> None:
    class Cats(BaseDataset):
        def load_data_list(self) -> list[dict[str, Any]]:
            return [{"label": [0]}, {"label": [0, 1]}, {"label": [0]}]

    both = ConcatDataset([Cats(), Cats()])
    assert both.cumulative_sizes == [3, 6]
    assert both._get_ori_dataset_idx(-1) == (1, 2)
    assert RepeatDataset(Cats(), 2)._get_ori_dataset_idx(4) == 1
    balanced = ClassBalancedDataset(Cats(), 1.0)
    assert balanced.repeat_indices == [0, 1, 1, 2]
    balanced.repeat_indices = [2, 2]
    assert [balanced.get_data_info(place)["sample_idx"] for place in range(len(balanced))] == [2, 2]
    for wrap in (lambda: RepeatDataset([0], 2), lambda: ClassBalancedDataset([0], 0.5)):
        with pytest.raises(TypeError, match=r"wraps a dataset or its config, got list: \[0\]"):
            wrap()
