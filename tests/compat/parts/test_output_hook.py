import numpy as np
import pytest
import torch
from torch import nn

from kinema.compat.parts.output_hook import OutputHook


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, int]:
        return x + 1, 3


def test_outputs_of_layers_are_kept_while_the_block_runs() -> None:
    model = nn.Sequential(nn.Identity(), Pair())
    with OutputHook(model, outputs=("0", "1")) as kept:
        model(torch.zeros(2))
    assert isinstance(kept.layer_outputs["0"], np.ndarray)
    assert kept.layer_outputs["1"][0].tolist() == [1, 1]
    assert kept.layer_outputs["1"][1] == 3
    model(torch.ones(2))
    assert kept.layer_outputs["0"].tolist() == [0, 0]
    with OutputHook(model, outputs=["0"], as_tensor=True) as kept:
        model(torch.ones(2))
    assert torch.equal(kept.layer_outputs["0"], torch.ones(2))
    with OutputHook(model) as kept:
        model(torch.ones(2))
    assert kept.layer_outputs == {}
    with pytest.raises(AttributeError, match="5"):
        OutputHook(model, outputs=["5"])
