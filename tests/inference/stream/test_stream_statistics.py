import numpy as np
import pytest

from kinema.inference.stream.statistics import Quantiles


def test_quantiles_are_within_a_few_percent_of_those_of_all_values():
    seconds = np.random.default_rng(0).lognormal(-2, 1, 5000)
    quantiles = Quantiles()
    assert quantiles.quantile(0.5) is None
    for value in seconds:
        quantiles.add(float(value))
    for share in (0.05, 0.5, 0.95):
        assert quantiles.quantile(share) == pytest.approx(np.quantile(seconds, share), rel=0.03)
    assert quantiles.quantile(1.0) == pytest.approx(seconds.max(), rel=0.03)
    assert (quantiles.num_values, quantiles.highest) == (5000, seconds.max())


def test_what_is_below_and_above_all_bounds_counts():
    quantiles = Quantiles()
    quantiles.add(0.0)
    assert quantiles.quantile(0.5) == 0.0
    quantiles.add(1e7)
    assert quantiles.quantile(1.0) == pytest.approx(1e5, rel=0.1)
