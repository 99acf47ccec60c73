import itertools
import math

import numpy as np
import pytest

from kinema.errors import DumpError
from kinema.evaluation import ClipScores
from kinema.evaluation.clip_scores import ClipId
from kinema.evaluation.paired import compare_clips, compare_hits, mcnemar_exact


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (0, 1), (1, 3), (4, 4), (0, 10), (7, 3), (10, 2)])
def test_the_p_value_is_that_of_throwing_coins(only_first, only_second):
    count = only_first + only_second
    difference = abs(only_first - only_second)
    throws = itertools.product((0, 1), repeat=count)
    extreme = sum(1 for throw in throws if abs(count - 2 * sum(throw)) >= difference)
    assert mcnemar_exact(only_first, only_second) == pytest.approx(extreme / 2**count)


def test_the_p_value_of_many_clips_is_a_number():
    expected = math.erfc(199 / math.sqrt(2 * 10_000))  # the normal curve, half a throw to the side
    assert mcnemar_exact(5100, 4900) == pytest.approx(expected, rel=1e-3)
    assert 0 <= mcnemar_exact(0, 5000) < 1e-300
    with pytest.raises(ValueError, match="counts must be at least 0, got -1 and 2"):
        mcnemar_exact(-1, 2)


def test_outcomes_are_counted_and_the_interval_draws_whole_sources():
    generator = np.random.default_rng(0)
    first, second = generator.random(300) < 0.6, generator.random(300) < 0.75
    sources = [number // 10 for number in range(300)]
    result = compare_hits(first, second, sources)
    assert (result.first, result.second) == (first.mean(), second.mean())
    assert result.difference == pytest.approx(second.mean() - first.mean())
    assert result.both_right + result.only_first + result.only_second + result.both_wrong == 300
    assert result.p_value == mcnemar_exact(result.only_first, result.only_second)
    assert (result.num_clips, result.num_sources) == (300, 30)
    draws = []
    for _ in range(2000):
        chosen = generator.integers(30, size=30)
        clips = np.concatenate([np.arange(10 * one, 10 * one + 10) for one in chosen])
        draws.append(second[clips].mean() - first[clips].mean())
    assert (result.low, result.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.02)
    same = compare_hits(first, first)
    assert (same.difference, same.p_value, same.low, same.high) == (0, 1, 0, 0)
    # Clips that are right or wrong together say less than as many independent ones.
    blocks = np.repeat(generator.random(30) < 0.5, 10)
    alone, together = compare_hits(~blocks, blocks), compare_hits(~blocks, blocks, sources)
    assert together.high - together.low > 2 * (alone.high - alone.low)
    few = compare_hits(first, second, [number // 50 for number in range(300)])
    assert (few.num_sources, few.low, few.high) == (6, None, None)


def scores(paths, labels, predicted, classes=("a", "b", "c")):
    rows = np.full((len(paths), 3), 0.1, np.float32)
    rows[np.arange(len(paths)), predicted] = 0.8
    return ClipScores(tuple(paths), np.array(labels), rows, classes)


def test_clips_of_two_models_are_matched_and_those_that_changed_are_named():
    first = scores(["p", "q", "r", "s", "t"], [0, 1, 2, 0, 1], [0, 1, 0, 1, 1])
    second = scores(["t", "s", "r", "q", "p"], [1, 0, 2, 1, 0], [1, 0, 1, 0, 0])
    result, changed = compare_clips(first, second)
    assert (result.both_right, result.only_first, result.only_second, result.both_wrong) == (2, 1, 1, 1)
    assert [one.clip.path for one in changed] == ["q", "s", "r"]
    lost, gained, neither = changed
    assert (lost.is_lost, lost.is_gained, gained.is_gained, neither.is_lost, neither.is_gained) == (1, 0, 1, 0, 0)
    assert lost == (ClipId("q"), 1, 1, 0, pytest.approx(0.8), pytest.approx(0.8))
    with pytest.raises(DumpError, match=r"the second: 1 clip is \(t\) in the first alone"):
        compare_clips(first, scores(["p", "q", "r", "s"], [0, 1, 2, 0], [0, 1, 0, 1]))
    result, changed = compare_clips(first, scores(["p", "q"], [0, 1], [0, 1]), common=True)
    assert (result.num_clips, changed) == (2, ())


def test_outcomes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"got \(2,\), \(1,\) and 2 sources"):
        compare_hits([True, False], [True])
    with pytest.raises(ValueError, match="at least one clip"):
        compare_hits([], [])
