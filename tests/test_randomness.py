import io
import logging
import random

import numpy as np
import pytest
import torch

from kinema.randomness import (
    capture_state,
    gather_states,
    restore_rank_state,
    restore_state,
    sample_randomness,
    seed_everything,
    seeded,
)


def draw() -> tuple[float, ...]:
    """One number of every kind that the generators give; gauss and normal leave a second one cached."""
    return (
        random.random(),
        random.gauss(0, 1),
        float(np.random.rand()),
        float(np.random.randn()),
        float(torch.rand(1)),
        float(torch.randn(1)),
    )


def draw_sample(seed: int, epoch: int, index: int) -> tuple[float, ...]:
    with sample_randomness(seed, epoch, index):
        return draw()


def test_the_same_seed_gives_the_same_numbers() -> None:
    seed_everything(3)
    first = draw()
    seed_everything(3)
    assert draw() == first
    seed_everything(4)
    assert all(a != b for a, b in zip(draw(), first, strict=True))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=rf"the seed must be in \[0, 2\*\*32\).* got {seed}"):
        seed_everything(seed)


def test_deterministic_turns_deterministic_algorithms_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    cudnn = torch.backends.cudnn
    monkeypatch.setattr(cudnn, "benchmark", cudnn.benchmark)
    monkeypatch.setattr(cudnn, "deterministic", cudnn.deterministic)
    try:
        seed_everything(0, deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
        assert cudnn.deterministic
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_sample_depends_on_seed_epoch_and_index_only() -> None:
    first = draw_sample(1, 2, 3)
    draw()
    seed_everything(77)
    assert draw_sample(1, 2, 3) == first
    for other in [(0, 2, 3), (1, 0, 3), (1, 2, 0), (2, 1, 3), (1, 3, 2)]:
        assert all(a != b for a, b in zip(draw_sample(*other), first, strict=True))


def test_the_outer_stream_goes_on_as_if_there_had_been_no_sample() -> None:
    seed_everything(5)
    draw()
    expected = draw()
    seed_everything(5)
    draw()
    draw_sample(1, 2, 3)
    assert draw() == expected


def fail_in_a_sample() -> None:
    with sample_randomness(0, 0, 0):
        raise OSError("broken video")


def test_the_outer_stream_is_restored_after_an_error_too() -> None:
    seed_everything(5)
    expected = draw()
    seed_everything(5)
    with pytest.raises(OSError, match="broken video"):
        fail_in_a_sample()
    assert draw() == expected


def test_the_streams_of_samples_are_uniform_and_unrelated() -> None:
    values = np.array([draw_sample(0, 0, index) for index in range(400)])
    for column in (0, 2, 4):  # the uniform ones; the standard error of the mean is 0.0144, of a correlation 0.05
        assert abs(values[:, column].mean() - 0.5) < 0.06
        assert abs(np.corrcoef(values[1:, column], values[:-1, column])[0, 1]) < 0.2
    assert abs(np.corrcoef(values[:, 0], values[:, 2])[0, 1]) < 0.2


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="must be 0 or more, got seed=0, epoch=-1, index=2"):
        draw_sample(0, -1, 2)


def test_the_state_survives_a_weights_only_checkpoint() -> None:
    seed_everything(9)
    draw()
    buffer = io.BytesIO()
    torch.save(capture_state(), buffer)
    expected = [draw() for _ in range(3)]
    seed_everything(1)
    buffer.seek(0)
    restore_state(torch.load(buffer, weights_only=True))
    assert [draw() for _ in range(3)] == expected


def test_an_incomplete_state_is_refused() -> None:
    with pytest.raises(ValueError, match="no state of the random generators: device, numpy missing"):
        restore_state({"python": {}, "torch": None})


def test_streams_of_other_keys_are_other_streams() -> None:
    draws = []
    for key in [(1, 2, 3), (1, 2, 4), (1, 2, 3, 0, 1), (1, 2, 3, 0, 2), (1, 2, 3, 1)]:
        with seeded(*key):
            draws.append(draw())
    assert len(set(draws)) == len(draws)
    with seeded(1, 2, 3):
        assert draw() == draws[0]


def test_each_process_gets_its_own_state_back_and_a_new_one_a_seed_of_its_own() -> None:
    states, expected = [], []
    for rank in range(2):
        seed_everything(rank)
        states += gather_states()
        expected.append(draw())
    for rank in range(2):
        restore_rank_state(states, rank, seed=7, step=30)
        assert draw() == expected[rank]
    new = []
    for rank, step in [(2, 30), (3, 30), (2, 31), (2, 30)]:
        seed_everything(step)
        restore_rank_state(states, rank, seed=7, step=step)
        new.append(draw())
    assert new[3] == new[0]
    assert len(set(new)) == 3


def test_a_state_that_was_drawn_on_another_kind_of_device_says_so(caplog: pytest.LogCaptureFixture) -> None:
    seed_everything(9)
    state = capture_state("cpu")
    expected = draw()
    with caplog.at_level(logging.WARNING, logger="kinema"):
        restore_state(state, "cpu")
        assert not caplog.records
        restore_state(state | {"device": {"type": "cuda", "state": torch.zeros(16, dtype=torch.uint8)}}, "cpu")
    assert "continue on cpu, but were drawn on cuda" in caplog.text
    assert draw() == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_generator_of_the_device_is_restored_on_a_device_of_any_number() -> None:
    device = torch.device("cuda", torch.cuda.current_device())
    seed_everything(9)
    torch.rand(3, device=device)
    states = [capture_state(), capture_state(device), capture_state("cuda")]
    expected = torch.rand(3, device=device)
    for state in states:
        seed_everything(1)
        restore_state(state)
        assert torch.equal(torch.rand(3, device=device), expected)
