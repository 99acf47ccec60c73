"""Intervals of accuracies, against their definitions written slowly."""

import numpy as np
import pytest

from kinema.evaluation import accuracy_interval, bootstrap_interval, wilson_interval


def slow_wilson(hits: int, count: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """All shares p whose distance from the observed one is at most z standard errors under p."""
    grid = np.linspace(0, 1, 200_001)
    inside = np.abs(hits / count - grid) <= z * np.sqrt(grid * (1 - grid) / count) + 1e-12
    return grid[inside].min(), grid[inside].max()


@pytest.mark.parametrize(("hits", "count"), [(0, 5), (5, 5), (21, 24), (7, 10), (1, 300), (140, 200)])
def test_wilson_holds_the_shares_that_do_not_contradict_the_counts(hits: int, count: int) -> None:
    assert wilson_interval(hits / count, count) == pytest.approx(slow_wilson(hits, count), abs=1e-5)


def test_wilson_agrees_with_published_values() -> None:
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    expected = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }
    for (hits, count), ends in expected.items():
        assert wilson_interval(hits / count, count) == pytest.approx(ends, abs=5e-5)


def test_the_bootstrap_draws_whole_sources() -> None:
    hits = np.array([1, 1, 1, 0, 0, 1, 0, 1], dtype=bool)
    groups = ["a", "a", "a", "b", "b", "c", "d", "d"]
    # Slowly: the same draws, with the clips themselves.
    generator, names = np.random.default_rng(3), ["a", "b", "c", "d"]
    shares = []
    for _ in range(500):
        drawn = [names[place] for place in generator.integers(4, size=4)]
        clips = [hit for name in drawn for hit, group in zip(hits, groups, strict=True) if group == name]
        shares.append(np.mean(clips))
    expected = np.quantile(shares, [0.025, 0.975])
    assert bootstrap_interval(hits, groups, draws=500, seed=3) == pytest.approx(tuple(expected))
    assert bootstrap_interval(hits, groups) == bootstrap_interval(hits, groups)


def test_clips_of_the_same_source_widen_the_interval() -> None:
    hits = np.arange(120) % 40 < 28  # 0.7
    alone = accuracy_interval(hits)
    together = accuracy_interval(hits, [f"video {index % 40}" for index in range(120)])  # right or wrong as a whole
    assert (alone.method, together.method) == ("wilson", "bootstrap")
    assert (alone.num_clips, together.num_clips, together.num_sources) == (120, 120, 40)
    assert together.high - together.low > 1.5 * (alone.high - alone.low)
    # Forty videos that agree in themselves are forty witnesses.
    assert (together.low, together.high) == pytest.approx(wilson_interval(0.7, 40), abs=0.035)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        of_source = generator.beta(3.5, 1.5, size=30)  # 0.7 in the mean, different from source to source
        hits = np.concatenate([generator.random(6) < share for share in of_source])
        interval = accuracy_interval(hits, np.repeat(np.arange(30), 6).tolist())
        held += interval.low <= 0.7 <= interval.high
    assert held >= 178  # 190 expected, and a bootstrap of 30 is a little narrow


def test_where_nothing_can_be_drawn_wilson_stands_in_by_source() -> None:
    few = accuracy_interval([True, False] * 20, ["a", "b"] * 20)
    assert few.method == "wilson"
    assert (few.low, few.high) == wilson_interval(0.5, 2)
    perfect = accuracy_interval([True] * 60, [index // 3 for index in range(60)])
    assert (perfect.value, perfect.high) == (1, 1)
    assert perfect.low == pytest.approx(wilson_interval(1, 20)[0])


def test_impossible_counts_are_named() -> None:
    with pytest.raises(ValueError, match="expected a share from 0 to 1 of more than 0 trials"):
        wilson_interval(0.5, 0)
    with pytest.raises(ValueError, match="need one source a clip and at least one clip, got 0 clips, 0 sources"):
        accuracy_interval([])
    with pytest.raises(ValueError, match="need one group a clip and at least one clip, got 2 clips, 1 groups"):
        bootstrap_interval([True, False], ["a"])
