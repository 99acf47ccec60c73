import copy

import pytest
import torch
from torch import Tensor, nn

from kinema.compat.parts import conv_norm_evaluation
from kinema.compat.parts.conv_norm_evaluation import turn_on_efficient_conv_bn_eval


class Net(nn.Module):
    """Convolutions with a norm of their own, and the last, whose output is used twice, with none."""

    def __init__(self, kind: int, **options: bool) -> None:
        super().__init__()
        conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[kind - 1]
        norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[kind - 1]
        self.conv1, self.bn1 = (
            conv(3, 4, 3, bias=options.get("bias", False)),
            norm(4, affine=options.get("affine", True)),
        )
        self.conv2, self.bn2 = conv(4, 4, 1), norm(4)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.bn1(self.conv1(x)))
        return self.bn2(y) + y


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"bias": True}, {"affine": False}])
def test_convolution_and_norm_in_evaluation_are_one(kind: int, options: dict[str, bool]) -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"backbone": Net(kind, **options)})
    x = torch.randn(2, 3, *[6] * kind)
    model["backbone"](x)  # statistics that are not the identity
    plain = copy.deepcopy(model)
    turn_on_efficient_conv_bn_eval(model, ["backbone"])
    assert list(model.state_dict()) == list(plain.state_dict())
    for training in (True, False):
        for network in (model, plain):
            network.train(training)
        torch.testing.assert_close(model["backbone"](x), plain["backbone"](x), rtol=1e-5, atol=1e-5)


def test_the_weights_of_a_norm_in_evaluation_still_train(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Net(2).eval()
    fused: list[str] = []
    one = conv_norm_evaluation.convolve_and_norm
    monkeypatch.setattr(conv_norm_evaluation, "convolve_and_norm", lambda *args: fused.append("x") or one(*args))
    turn_on_efficient_conv_bn_eval(nn.ModuleDict({"m": model}), "m")
    model(torch.randn(1, 3, 4, 4)).sum().backward()
    assert fused == ["x"]  # the second convolution has two users
    assert all(parameter.grad is not None for parameter in model.parameters())
