import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.optim import OptimWrapper, Precision, build_optim_wrapper


def trained(precision, steps=3):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), precision=precision)
    kinds = []
    for _ in range(steps):
        with wrapper.optim_context(model):
            scores = model(torch.ones(2, 4))
        kinds.append(scores.dtype)
        wrapper.update_params(scores.float().square().mean())
    return [parameter.detach().clone() for parameter in model.parameters()], kinds


@pytest.mark.parametrize(("name", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_the_forward_pass_has_the_precision_and_the_weights_stay_float32(name, dtype) -> None:
    weights, kinds = trained(Precision(name))
    plain, _ = trained(Precision())
    assert set(kinds) == {dtype}
    for weight, expected in zip(weights, plain, strict=True):
        assert weight.dtype == torch.float32
        torch.testing.assert_close(weight, expected, atol=2e-2, rtol=2e-2)


def test_fp16_leaves_an_update_out_whose_gradients_overflow_and_scales_less() -> None:
    model = nn.Linear(2, 1)
    precision = Precision("fp16", scaler={"init_scale": 2.0**10})
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), precision=precision)
    before = model.weight.detach().clone()
    wrapper.update_params(model(torch.ones(1, 2)).sum() * torch.tensor(float("inf")))
    assert torch.equal(model.weight, before)
    assert precision.state_dict()["scale"] == 2.0**9
    other = Precision("fp16")
    other.load_state_dict(precision.state_dict())
    assert other.state_dict() == precision.state_dict()
    Precision("bf16").load_state_dict(precision.state_dict())  # has no use for it
    assert Precision("bf16").state_dict() == {}


def test_auto_is_float32_on_a_cpu() -> None:
    assert Precision("auto").name == "fp32"


def test_an_unknown_precision_is_named() -> None:
    with pytest.raises(ConfigError, match="precision must be auto, fp32, bf16, fp16, got 'fp8'"):
        Precision("fp8")


def amp(**settings):
    config = dict(type="AmpOptimWrapper", optimizer=dict(type="SGD", lr=0.1), **settings)
    return build_optim_wrapper(nn.Linear(1, 1), config).precision


def test_openmmlabs_settings_of_mixed_precision() -> None:
    assert amp().name == "fp32"  # on a CPU half precision is slow
    assert amp(dtype="float16").name == "fp16"
    assert amp(dtype="bfloat16").name == "bf16"
    assert amp(dtype="float16", loss_scale=512.0).state_dict()["scale"] == 512.0
    assert amp(dtype="float16", loss_scale=dict(init_scale=128.0)).state_dict()["scale"] == 128.0
    with pytest.raises(ConfigError, match=r"optim_wrapper\.dtype must be float16 or bfloat16, got 'float8'"):
        amp(dtype="float8")
    with pytest.raises(ConfigError, match="loss_scale must be 'dynamic', a number or a dict, got 'big'"):
        amp(loss_scale="big")
