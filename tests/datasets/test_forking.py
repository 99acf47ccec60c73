"""Processes that hang where they are forked are started anew."""

import os
import time

import pytest
import torch
from torch.utils.data import TensorDataset

from kinema.datasets import build_dataloader
from kinema.errors import LoaderError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def hang_at_forks(monkeypatch, *which):
    """The children of the forks of these numbers do not come back from `os.fork`."""
    fork, numbers = os.fork, []

    def forked():
        numbers.append(len(numbers))
        hangs = numbers[-1] in which
        # A busy machine may let a healthy process wait.
        monkeypatch.setattr("kinema.datasets.forking.BEGIN_SECONDS", 0.5 if hangs else 60.0)
        child = fork()
        while child == 0 and hangs:
            time.sleep(1)
        return child

    monkeypatch.setattr(os, "fork", forked)
    return numbers


def loader(**options):
    sampler = dict(type="DefaultSampler", shuffle=False)
    dataset = TensorDataset(torch.arange(12))
    return build_dataloader(dict(dataset=dataset, batch_size=2, num_workers=2, sampler=sampler, **options), seed=0)


@pytest.mark.parametrize("context", [None, "fork"])
def test_a_worker_that_hangs_where_it_was_forked_is_started_anew(context, monkeypatch, caplog):
    numbers = hang_at_forks(monkeypatch, 1, 2)
    data = loader(multiprocessing_context=context)
    batches = [[int(value) for value in batch[0]] for batch in data]
    assert batches == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11]]
    assert len(numbers) == 4
    assert caplog.text.count("hangs where it was forked: another one is started") == 2


def test_workers_that_never_begin_end_the_run_with_one_line(monkeypatch):
    numbers = hang_at_forks(monkeypatch, *range(100))
    with pytest.raises(
        LoaderError, match=r"cannot start 2 processes .*\(5 processes in a row did not begin within 0\.5 s"
    ):
        next(iter(loader()))
    assert len(numbers) == 5


def test_a_loader_starts_its_processes_as_it_is_told(monkeypatch):
    numbers = hang_at_forks(monkeypatch)
    data = loader(multiprocessing_context="spawn")
    assert len(list(data)) == 6
    assert data.multiprocessing_context.get_start_method() == "spawn"
    assert not numbers
