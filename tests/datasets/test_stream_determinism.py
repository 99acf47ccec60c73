"""A batch is a function of (seed, epoch, index): hashes of whole streams, made in many ways."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from stream_of_batches import stream

from kinema.video import write_video

SCRIPT = Path(__file__).parent / "stream_of_batches.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight short videos of noise, and a list of them."""
    folder = tmp_path_factory.mktemp("clips")
    generator = np.random.default_rng(0)
    for i in range(8):
        write_video(folder / f"{i}.mp4", generator.integers(0, 256, (12, 48, 64, 3), dtype=np.uint8), 10)
    (folder / "train.txt").write_text("".join(f"{i}.mp4 {i % 3}\n" for i in range(8)))
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    """The stream without workers, in one process."""
    return stream(folder)


def test_samples_differ_between_epochs_and_each_comes_once(expected):
    first, second = ({index: digest for batch in epoch for index, digest in batch} for epoch in expected)
    assert set(first) == set(second) == set(range(8))
    assert all(first[i] != second[i] for i in range(8))
    assert [[index for index, _ in batch] for batch in expected[0]] != [[0, 1, 2, 3], [4, 5, 6, 7]]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("num_workers", [1, 4])
def test_workers_change_nothing(folder, expected, num_workers, persistent):
    assert stream(folder, num_workers=num_workers, persistent_workers=persistent) == expected


def test_what_was_drawn_before_changes_nothing(folder, expected):
    np.random.seed(123)
    torch.manual_seed(123)
    assert stream(folder) == expected


def test_an_epoch_can_be_entered_directly(folder, expected):
    assert stream(folder, epochs=[1]) == expected[1:]


@pytest.mark.slow
def test_two_processes_share_the_stream_of_one(folder, expected, tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    num_workers = ("0", "2")
    subprocess.run([*launch, SCRIPT, folder, tmp_path, *num_workers], check=True, timeout=600, capture_output=True)
    streams = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for ranks in zip(*streams, strict=True):
        # Rank r takes every second index of the epoch's order: a step of both is a batch of the one process.
        merged = [
            [[sample for pair in zip(*step, strict=True) for sample in pair] for step in zip(*epoch, strict=True)]
            for epoch in zip(*ranks, strict=True)
        ]
        assert merged == expected
