"""A run may stop and resume anywhere, as often as it takes: it sees every sample of every epoch once, in its order."""

import itertools
import logging
import os
import signal
from contextlib import nullcontext

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, RandomSampler
from toy_run import Pack, Points, run_config

from kinema.datasets import DefaultSampler, InfiniteSampler, build_dataloader, pseudo_collate
from kinema.engine import Hook, Runner
from kinema.errors import ConfigError
from kinema.training import restore

pytestmark = pytest.mark.slow  # trains many small networks

SAMPLES, BATCH_SIZE = 23, 4
BATCHES = 6  # an epoch


class PackIndex(Pack):
    """Also hand the sample's index on."""

    def transform(self, results):
        sample = super().transform(results)
        sample["data_samples"].set_metainfo({"index": results["sample_idx"]})
        return sample


class Watch(Hook):
    """Note what the model trains on, and ask the run to stop when so many batches are done, as a cluster does."""

    priority = "HIGHEST"

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.seen = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        points = [round(float(point.sum()), 6) for point in data_batch["inputs"]]
        indices = [sample.metainfo["index"] for sample in data_batch["data_samples"]]
        self.seen.append((runner.epoch, batch_idx, list(zip(indices, points, strict=True))))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.progress.iteration + 1 == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)


def points_of(count=SAMPLES):
    return Points(count, pipeline=[dict(type=PackIndex)])


def train(work_dir, *, stop_at=None, epochs=3, loader=None, resume=True, **changes):
    """Train until `stop_at` batches are done; returns the runner and what it trained on."""
    watch = Watch(stop_at)
    config = run_config(work_dir, epochs=epochs, resume=resume, custom_hooks=[watch], **changes)
    settings = dict(sampler=dict(type="DefaultSampler", shuffle=True), batch_size=BATCH_SIZE, dataset=points_of())
    config["train_dataloader"] = loader if isinstance(loader, DataLoader) else settings | (loader or {})
    runner = Runner.from_cfg(config)
    with pytest.raises(KeyboardInterrupt) if stop_at else nullcontext():
        runner.train()
    return runner, watch.seen


def assert_same_weights(runner, whole):
    assert all(torch.equal(runner.model.state_dict()[key], value) for key, value in whole.model.state_dict().items())


def in_parts(work_dir, stops, **options):
    """Train up to each of `stops`, then to the end; returns the last runner and what all trained on."""
    runs = [train(work_dir, stop_at=stop, **options) for stop in [*stops, None]]
    return runs[-1][0], [batch for _, seen in runs for batch in seen]


@pytest.mark.parametrize(
    "stops",
    [
        [2],
        [1, 2, 3, 4],  # again and again within an epoch
        [BATCHES],  # at its end
        [BATCHES - 1, BATCHES, BATCHES + 1],
        [2 * BATCHES + 3],
        [4, BATCHES + 2, BATCHES + 3, 3 * BATCHES],
    ],
)
def test_no_sample_is_left_out_or_comes_twice_wherever_a_run_stops(tmp_path, stops):
    whole, expected = train(tmp_path / "whole")
    runner, seen = in_parts(tmp_path / "parts", stops)
    assert seen == expected
    assert_same_weights(runner, whole)
    epochs = [[index for at, _, batch in seen if at == epoch for index, _ in batch] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(SAMPLES)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("persistent", [False, True])
def test_a_loader_that_was_used_before_the_state_was_loaded_continues_at_the_right_place(tmp_path, persistent):
    def fresh():
        settings = dict(sampler=dict(type="DefaultSampler", shuffle=True), batch_size=BATCH_SIZE, dataset=points_of())
        return build_dataloader(settings | dict(num_workers=1, persistent_workers=persistent), seed=7)

    whole, expected = train(tmp_path / "whole", loader=fresh())
    _, seen = train(tmp_path / "parts", loader=fresh(), stop_at=9)
    loader = fresh()
    early = iter(loader)
    next(early)
    next(iter(loader))
    runner, rest = train(tmp_path / "parts", loader=loader)
    assert seen + rest == expected
    assert_same_weights(runner, whole)


@pytest.mark.parametrize("sampler", [dict(type=RandomSampler, data_source=range(SAMPLES)), None])
def test_an_order_that_a_sampler_without_a_seed_draws_is_the_same_after_a_resume(tmp_path, sampler):
    def fresh():
        chosen = RandomSampler(range(SAMPLES)) if sampler else DefaultSampler(range(SAMPLES), seed=7)
        return build_dataloader(dict(sampler=chosen, batch_size=BATCH_SIZE, dataset=points_of()), seed=7)

    whole, expected = train(tmp_path / "whole", loader=fresh())
    runs = [train(tmp_path / "parts", loader=fresh(), stop_at=stop) for stop in (3, 5, BATCHES, BATCHES + 1, None)]
    assert [batch for _, seen in runs for batch in seen] == expected
    assert_same_weights(runs[-1][0], whole)


def test_torchs_own_loader_reads_again_what_is_done_and_says_so(tmp_path, caplog):
    def fresh():
        dataset = points_of()
        sampler = DefaultSampler(dataset, seed=7)
        return DataLoader(dataset, batch_size=BATCH_SIZE, sampler=sampler, collate_fn=pseudo_collate)

    _, expected = train(tmp_path / "whole", loader=fresh())
    runs = [train(tmp_path / "parts", loader=fresh(), stop_at=stop) for stop in (3, 5, BATCHES + 1, None)]
    seen = [batch for _, seen in runs for batch in seen]
    indices = [
        [(epoch, place, [index for index, _ in batch]) for epoch, place, batch in run] for run in (seen, expected)
    ]
    assert indices[0] == indices[1]
    assert "cannot start inside an epoch: the 3 batches before the position are read again" in caplog.text


def test_a_training_without_epochs_resumes_within_its_endless_pass(tmp_path):
    options = dict(
        loader=dict(sampler=dict(type="InfiniteSampler", shuffle=True)), train_cfg=dict(max_iters=20, val_interval=10)
    )
    whole, expected = train(tmp_path / "whole", **options)
    runner, seen = in_parts(tmp_path / "parts", [1, 7, 13], **options)
    assert seen == expected
    assert [batch_idx for _, batch_idx, _ in seen] == list(range(20))
    assert_same_weights(runner, whole)
    sampler = InfiniteSampler(range(SAMPLES), seed=7)
    flat = [index for _, _, batch in seen for index, _ in batch]
    assert flat == list(itertools.islice(sampler, 20 * BATCH_SIZE))


def test_a_resumed_run_with_another_batch_size_sees_the_rest_of_the_epoch_in_its_order(tmp_path):
    _, expected = train(tmp_path / "whole", epochs=2)
    runs = [
        train(tmp_path / "parts", epochs=2, stop_at=stop, loader=dict(batch_size=size))
        for size, stop in [(4, 2), (3, 4), (5, None)]
    ]
    flat = [
        [sample for _, _, batch in run for sample in batch]
        for run in (expected, itertools.chain(*(r[1] for r in runs)))
    ]
    assert flat[1] == flat[0]
    assert runs[-1][0].progress.epoch == 2
    assert runs[-1][0].progress.samples == 2 * SAMPLES


def test_a_sampler_that_cannot_start_there_ends_the_run_with_one_line(tmp_path):
    def fresh(batch_size):
        dataset = points_of()
        return build_dataloader(dict(sampler=RandomSampler(dataset), batch_size=batch_size, dataset=dataset), seed=7)

    train(tmp_path, loader=fresh(4), stop_at=3)
    with pytest.raises(ConfigError, match="RandomSampler cannot resume with another number of processes or another"):
        train(tmp_path, loader=fresh(2))


def test_a_run_of_another_number_of_processes_says_what_is_not_the_same(tmp_path, caplog):
    runner = Runner.from_cfg(run_config(tmp_path, epochs=1))
    runner.train()
    folder, state = runner.store.find_to_resume()
    restore(runner, folder, {**state, "random": state["random"] * 2})
    assert caplog.messages[-1] == (
        "the checkpoint was saved by 2 processes, now there are 1: the samples and their order stay the same, random"
        " numbers of the network (dropout) do not, and batch norms see other shares of a batch unless sync_bn=True"
        " joins them"
    )


def test_a_resumed_run_reports_what_it_would_have_reported(tmp_path, caplog):
    hooks = dict(logger=dict(interval=4))
    with caplog.at_level(logging.INFO, logger="kinema"):
        whole, _ = train(tmp_path / "whole", default_hooks=hooks)
        runner, _ = in_parts(tmp_path / "parts", [3, 5, 9], default_hooks=hooks)
    lines = [
        [{key: value for key, value in line.items() if key != "seconds"} for line in run.metrics_file.read()]
        for run in (whole, runner)
    ]
    assert lines[1] == lines[0]
    for key in ("epoch", "batch", "iteration", "step", "samples", "epoch_samples", "best"):
        assert getattr(runner.progress, key) == getattr(whole.progress, key), key


class Stream(IterableDataset):
    def __iter__(self):
        return iter([PackIndex()(points_of().get_data_info(index)) for index in range(9)])


def test_a_stream_without_a_length_takes_schedules_in_batches_only(tmp_path):
    loader = DataLoader(Stream(), batch_size=3, collate_fn=pseudo_collate)
    options = dict(loader=loader, train_cfg=dict(max_iters=5, val_interval=5))
    with pytest.raises(ConfigError, match="convert_to_iter_based needs the batches of an epoch, but the training data"):
        train(tmp_path, **options)
    _, seen = train(tmp_path, param_scheduler=dict(type="LinearLR", end=4, by_epoch=False), **options)
    assert [(epoch, batch) for epoch, batch, _ in seen] == [(0, 0), (0, 1), (0, 2), (1, 3), (1, 4)]


def test_a_run_that_is_resumed_at_its_end_keeps_the_facts_of_its_last_step(tmp_path):
    whole, _ = train(tmp_path)
    again, seen = train(tmp_path, resume=True)
    assert seen == []
    for fact in ("epoch", "iter"):
        assert again.message_hub.get_info(fact) == whole.message_hub.get_info(fact)
