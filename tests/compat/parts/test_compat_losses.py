import pytest
import torch


@pytest.mark.usefixtures("shim")
def test_a_loss_of_users_own_has_its_factor() -> None:
    from mmaction.models.losses.base import BaseWeightedLoss

    class Distance(BaseWeightedLoss):
        def _forward(self, a, b, named=False):
            return {"loss_a": (a - b).abs().sum(), "accuracy": 1} if named else (a - b).abs().sum()

    loss = Distance(loss_weight=0.5)
    assert loss(torch.ones(4), torch.zeros(4)) == 2
    assert loss(torch.ones(4), torch.zeros(4), named=True) == {"loss_a": 2, "accuracy": 1}
