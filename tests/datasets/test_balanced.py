"""Drawing rare classes more often, and the weights of classes."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from balanced_draws import draws

from kinema.config import Config, parse_override
from kinema.datasets import (
    BaseDataset,
    ClassBalancedSampler,
    ConcatDataset,
    InfiniteSampler,
    RepeatDataset,
    VideoDataset,
    build_dataloader,
    count_classes,
    effective_number_weights,
    inverse_frequency_weights,
    labels_of,
)
from kinema.datasets.balanced import balanced_weights, draw_balanced, rarest_classes, times_before
from kinema.datasets.storage.columns import LabelColumn


def noise(sample):
    """What a transform draws, beside the sample's index."""
    return {"index": sample["sample_idx"], "noise": float(np.random.random()), "torch": float(torch.rand(()))}


class Labelled(BaseDataset):
    def __init__(self, labels, **keywords):
        self.labels = labels
        super().__init__(pipeline=[noise], **keywords)

    def load_data_list(self):
        return [{"label": label} for label in self.labels]


def classes_drawn(sampler, labels):
    return Counter(labels[index] for index in sampler)


LABELS = [0] * 90 + [1] * 9 + [2]


@pytest.mark.parametrize(("power", "expected"), [(0, (90, 9, 1)), (0.5, (70, 22, 7)), (1, (33, 33, 33))])
def test_classes_come_as_often_as_the_power_says(power, expected):
    sampler = ClassBalancedSampler(Labelled(LABELS), power, seed=0)
    for epoch in range(5):
        sampler.set_epoch(epoch)
        drawn = classes_drawn(sampler, LABELS)
        assert len(list(sampler)) == len(sampler) == 100
        assert all(abs(drawn[one] - wanted) <= 1 for one, wanted in enumerate(expected))


def test_power_0_draws_every_sample_once():
    for seed in range(20):
        assert sorted(ClassBalancedSampler(Labelled(LABELS), 0, seed=seed)) == list(range(100))


def test_the_samples_of_a_class_come_equally_often():
    times = Counter(ClassBalancedSampler(Labelled(LABELS), 1, num_samples=300, seed=3))
    assert {times[index] for index in range(90)} == {1, 2}
    assert {times[index] for index in range(90, 99)} == {11, 12}
    assert times[99] == 100


def test_over_many_epochs_no_sample_is_preferred():
    sampler = ClassBalancedSampler(Labelled([0] * 8 + [1] * 2), 1, seed=0)
    total = Counter()
    for epoch in range(2000):
        sampler.set_epoch(epoch)
        total.update(sampler)
    assert all(abs(total[index] / 2000 - 5 / 8) < 0.04 for index in range(8))
    assert all(abs(total[index] / 2000 - 5 / 2) < 0.04 for index in (8, 9))


def test_the_draws_are_a_function_of_seed_and_epoch():
    def drawn(seed, epoch):
        sampler = ClassBalancedSampler(Labelled(LABELS), seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert drawn(1, 2) == drawn(1, 2)
    assert len({tuple(drawn(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


@pytest.mark.slow
def test_processes_share_the_draws(tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = Path(__file__).parent / "balanced_draws.py"
    subprocess.run([*launch, script, tmp_path], check=True, timeout=600, capture_output=True)
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for of_ranks, num_samples in zip(zip(*ranks, strict=True), (100, 7), strict=True):
        merged = [[draw for pair in zip(*epoch, strict=True) for draw in pair] for epoch in zip(*of_ranks, strict=True)]
        expected = draws(num_samples)
        for epoch in expected:
            if len(epoch) % 2:  # the first one comes again
                index = epoch[0][0]
                epoch.append([index, sum(draw[0] == index for draw in epoch)])
        assert merged == expected


def loaded(dataset, num_workers=0, epoch=0, sampler=None):
    sampler = sampler or dict(type="ClassBalancedSampler", power=1)
    loader = build_dataloader(
        dict(dataset=dataset, batch_size=5, num_workers=num_workers, sampler=sampler, collate_fn="pseudo_collate"),
        seed=7,
    )
    loader.set_epoch(epoch)
    return [one for batch in loader for one in zip(batch["index"], batch["noise"], batch["torch"], strict=True)]


def test_a_sample_that_comes_again_is_augmented_in_another_way_whatever_the_workers():
    dataset = Labelled([0] * 18 + [1] * 2)
    seen = loaded(dataset)
    assert len(seen) == 20
    assert Counter(index for index, *_ in seen)[18] == 5
    assert len({(drawn, by_torch) for _, drawn, by_torch in seen}) == 20
    assert loaded(dataset, num_workers=2) == seen
    assert loaded(dataset, epoch=1) == loaded(dataset, num_workers=1, epoch=1) != seen


def test_the_first_time_a_sample_has_the_numbers_that_it_always_had():
    dataset = Labelled([0] * 18 + [1] * 2)
    plain = {index: rest for index, *rest in loaded(dataset, sampler=dict(type="DefaultSampler"))}
    first = {}
    for index, *rest in loaded(dataset):
        first.setdefault(index, []).append(rest)
    assert all(plain[index] in seen for index, seen in first.items())


def test_every_pass_of_an_endless_sampler_augments_in_another_way():
    dataset = Labelled([0, 1])
    loader = build_dataloader(
        dict(dataset=dataset, batch_size=2, sampler=dict(type="InfiniteSampler"), collate_fn="pseudo_collate"), seed=0
    )
    assert isinstance(loader.sampler, InfiniteSampler)
    batches = iter(loader)
    assert len({tuple(sorted(next(batches)["noise"])) for _ in range(4)}) == 4


def test_a_config_and_the_command_line_name_it():
    config = Config({"train_dataloader": {"batch_size": 2, "sampler": {"type": "DefaultSampler", "shuffle": True}}})
    overrides = ("train_dataloader.sampler.type=ClassBalancedSampler", "train_dataloader.sampler.power=0.5")
    config.merge_from_dict(dict(map(parse_override, overrides)))
    loader = build_dataloader({**config["train_dataloader"], "dataset": Labelled(LABELS)}, seed=0)
    assert isinstance(loader.sampler, ClassBalancedSampler)
    assert loader.sampler.power == 0.5


def test_the_draws_may_come_in_the_order_of_the_dataset():
    drawn = list(ClassBalancedSampler(Labelled(LABELS), shuffle=False, seed=0))
    assert drawn == sorted(ClassBalancedSampler(Labelled(LABELS), seed=0))


def test_a_sample_of_several_classes_counts_as_its_rarest():
    labels = LabelColumn.from_lists([[0], [0, 1], [0], [], [2, 1, 0], [1]])
    assert rarest_classes(labels).tolist() == [0, 1, 0, -1, 2, 1]
    drawn = Counter(ClassBalancedSampler(Labelled([[0], [0, 1], [0], [], [2, 1, 0], [1]]), num_samples=40, seed=0))
    assert (drawn[3], drawn[4]) == (10, 10)
    assert drawn[0] + drawn[2] == drawn[1] + drawn[5] == 10


def test_labels_are_read_by_column(tmp_path):
    (tmp_path / "train.txt").write_text("".join(f"{index}.mp4 {index % 3}\n" for index in range(8)))
    dataset = VideoDataset(tmp_path / "train.txt", data_prefix={"video": str(tmp_path)})
    assert labels_of(dataset).values.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert count_classes(labels_of(dataset), 4).tolist() == [3, 3, 2, 0]
    (tmp_path / "many.txt").write_text("a.mp4 0 2\nb.mp4 1\n")
    several = VideoDataset(tmp_path / "many.txt", data_prefix={"video": str(tmp_path)}, multi_class=True, num_classes=3)
    assert [labels_of(several).of(place) for place in range(2)] == [(0, 2), (1,)]


def test_labels_of_wrapped_and_of_own_datasets():
    class Swapped(Labelled):
        def get_cat_ids(self, idx):
            return [1 - one for one in super().get_cat_ids(idx)]

    assert labels_of(RepeatDataset(Labelled([0, 1]), 2)).values.tolist() == [0, 1, 0, 1]
    assert labels_of(ConcatDataset([Labelled([0]), Swapped([0, 1])])).values.tolist() == [0, 1, 0]
    assert labels_of(Swapped([0, 1])).values.tolist() == [1, 0]


def test_a_dataset_that_tells_no_classes_is_an_error():
    with pytest.raises(TypeError, match=r"list does not give the classes of its samples: .* get_cat_ids"):
        ClassBalancedSampler([1, 2, 3])


def test_bad_arguments_are_errors():
    with pytest.raises(ValueError, match=r"power must be from 0 .* to 1 .*, got 1\.5"):
        ClassBalancedSampler(Labelled([0, 1]), power=1.5)
    with pytest.raises(ValueError, match="num_samples must be at least 1, got 0"):
        ClassBalancedSampler(Labelled([0, 1]), num_samples=0)
    with pytest.raises(ValueError, match="there are no samples to draw from"):
        ClassBalancedSampler(Labelled([]))


def test_a_million_samples_are_drawn_in_a_second():
    classes = np.random.default_rng(0).integers(0, 400, 1_000_000)
    drawn = draw_balanced(classes, balanced_weights(classes, 0.5), len(classes), np.random.default_rng(0))
    assert len(drawn) == 1_000_000
    assert times_before(np.array([3, 1, 3, 3, 1])).tolist() == [0, 0, 1, 2, 1]
    assert times_before(np.zeros(0, dtype=np.int64)).tolist() == []


# ---- weights of a loss


def test_inverse_frequency_lets_all_classes_weigh_the_same():
    counts = np.array([90, 9, 1, 0])
    weights = inverse_frequency_weights(counts)
    np.testing.assert_allclose(weights * counts, [weights[2]] * 3 + [0])
    assert weights[:3].mean() == pytest.approx(1)
    assert weights[3] == 0
    np.testing.assert_allclose(inverse_frequency_weights([4, 1], power=0.5), [2 / 3, 4 / 3])
    np.testing.assert_allclose(inverse_frequency_weights([4, 1], power=0), [1, 1])


def test_effective_numbers_are_sums_of_a_geometric_series():
    counts, beta = [10, 3, 0], 0.9
    slowly = [1 / sum(beta**i for i in range(count)) if count else 0 for count in counts]
    weights = effective_number_weights(counts, beta)
    np.testing.assert_allclose(weights, np.array(slowly) * 2 / sum(slowly))
    np.testing.assert_allclose(effective_number_weights([5, 500], 0), [1, 1])


def test_bad_counts_are_errors():
    with pytest.raises(ValueError, match=r"expected how many samples each class has, some above 0, got \[0, 0\]"):
        inverse_frequency_weights([0, 0])
    with pytest.raises(ValueError, match=r"got \[3, -1\]"):
        effective_number_weights([3, -1])
    with pytest.raises(ValueError, match="power must be 0 or more, got -1"):
        inverse_frequency_weights([1], -1)
    with pytest.raises(ValueError, match="beta must be at least 0 and below 1, got 1"):
        effective_number_weights([1], 1)
