import pytest
import torch

from kinema.models.layers.bricks.drop import rising_rates


def test_rates_of_drop_path_rise_evenly_also_where_a_network_has_no_values() -> None:
    with torch.device("meta"):
        assert rising_rates(0.4, 5) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert rising_rates(0.4, 1) == [0]
