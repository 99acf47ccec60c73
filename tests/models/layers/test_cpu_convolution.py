"""Convolutions on a CPU give what torch gives, and use its default kernels wherever more is done than to compute."""

import copy
import itertools
import operator
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as modules
from torch.utils.flop_counter import FlopCounterMode

from kinema.models.layers import Conv2plus1d, ConvModule
from kinema.models.layers.cpu_convolution import (
    PRIVATE_NAMES,
    Conv2d,
    Conv3d,
    _has_private_names,
    _is_supported,
    best_layout,
    convolve_and_normalize,
    default_kernels,
    is_plain_cpu,
    missing_private_names,
)
from kinema.registry import MODELS

KERNELS = ((1, 1, 1), (1, 3, 3), (3, 1, 1), (3, 3, 3), (1, 7, 7), (1, 3, 1))
STRIDES = ((1, 1, 1), (1, 2, 2), (2, 1, 1), (2, 2, 2))


def clips(*shape: int) -> Tensor:
    """Random clips or frames with their channels last in memory."""
    torch.manual_seed(0)
    layout = torch.channels_last if len(shape) == 4 else torch.channels_last_3d
    return torch.randn(shape).contiguous(memory_format=layout)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("channels", "groups"), [((3, 8), 1), ((8, 8), 8), ((8, 16), 2)])
def test_values_and_gradients_are_torchs(kernel: tuple, channels: tuple, groups: int) -> None:
    for stride, dilation, batch, side in itertools.product(STRIDES, (1, 2), (1, 2), (1, 9)):
        padding = tuple(dilation * (size // 2) for size in kernel)
        conv = Conv3d(*channels, kernel, stride, padding, dilation, groups)
        inputs = clips(batch, channels[0], 4, side, side).requires_grad_()
        weights, results = torch.randn(1), []
        for usual in (False, True):
            inputs.grad = conv.weight.grad = None
            if usual:
                with default_kernels():
                    out = conv(inputs)
            else:
                out = conv(inputs)
                assert out.is_contiguous(memory_format=torch.channels_last_3d)
            torch.manual_seed(1)
            weights = torch.randn(out.shape)
            (out * weights).sum().backward()
            results.append((out, inputs.grad, conv.weight.grad))
        for ours, theirs in zip(*results, strict=True):
            assert torch.allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("kernel", [(1, 1, 1), (3, 1, 1), (5, 1, 1), (1, 3, 3)])
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("is_padded", [True, False])
def test_many_weights_over_few_positions_give_torchs_values(kernel: tuple, stride: tuple, is_padded: bool) -> None:
    padding = tuple(is_padded * (size // 2) for size in kernel)
    least = kernel[1]
    for dilation, groups, bias, side in (
        (1, 1, True, least),
        (1, 1, False, least),
        (1, 1, True, 13),
        (1, 2, True, least),
        ((2, 1, 1), 1, True, least),
    ):
        conv = Conv3d(256, 12, kernel, stride, padding, dilation, groups, bias=bias)
        inputs = clips(2, 256, 9, side, side).requires_grad_()
        out = conv(inputs)
        assert out.is_contiguous(memory_format=torch.channels_last_3d)
        with default_kernels():
            expected = conv(inputs)
        assert torch.allclose(out, expected, atol=1e-4)
        weights = torch.randn(out.shape)
        parts = (inputs, *conv.parameters())
        grads = (torch.autograd.grad((one * weights).sum(), parts) for one in (out, expected))
        assert all(torch.allclose(ours, theirs, atol=1e-3) for ours, theirs in zip(*grads, strict=True))


def test_frames_are_convolved_as_torch_does() -> None:
    conv, inputs = Conv2d(3, 8, 3, stride=2, padding=1), clips(2, 3, 9, 9)
    with default_kernels():
        expected = conv(inputs)
    assert torch.allclose(conv(inputs), expected, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_a_norm_folded_into_a_convolution_gives_the_same(bias: bool, affine: bool) -> None:
    conv, norm = Conv3d(3, 8, 3, padding=1, bias=bias), nn.BatchNorm3d(8, affine=affine).eval()
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    if affine:
        nn.init.uniform_(norm.weight, -1, 1)
        nn.init.uniform_(norm.bias, -1, 1)
    inputs = clips(2, 3, 4, 9, 9)
    with torch.no_grad():
        folded = convolve_and_normalize(conv, norm, inputs)
        assert torch.allclose(folded, norm(conv(inputs)), atol=1e-5)
        assert not torch.equal(folded, norm(conv(inputs)))  # it was another way
        conv.weight.data.mul_(2)  # which no counter of versions sees
        assert torch.allclose(convolve_and_normalize(conv, norm, inputs), norm(conv(inputs)), atol=1e-5)


def test_nothing_is_folded_where_that_would_be_noticed() -> None:
    conv, norm, inputs = Conv3d(3, 8, 3, padding=1), nn.BatchNorm3d(8).eval(), clips(2, 3, 4, 9, 9)
    seen: list[Tensor] = []
    assert convolve_and_normalize(conv, norm, inputs).requires_grad
    handle = norm.register_forward_hook(lambda module, args, out: seen.append(out))
    with torch.no_grad():
        convolve_and_normalize(conv, norm, inputs)
    assert len(seen) == 1
    handle.remove()
    norm.train()
    before = norm.running_mean.clone()
    with torch.no_grad():
        convolve_and_normalize(conv, norm, inputs)
    assert not torch.equal(norm.running_mean, before)


def test_norms_behind_prepared_convolutions_are_folded() -> None:
    layer = ConvModule(
        3, 8, 3, padding=1, bias=False, conv_cfg={"type": "Conv2plus1d"}, norm_cfg={"type": "BN3d"}
    ).eval()
    assert isinstance(layer.conv, Conv2plus1d)
    inputs = clips(2, 3, 4, 9, 9)
    with torch.no_grad():
        ours = layer(inputs)
        with default_kernels():
            assert torch.allclose(ours, layer(inputs), atol=1e-5)


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_default_kernels_compute_what_is_transformed_or_recorded() -> None:
    x = clips(2, 3, 4, 9, 9)
    assert is_plain_cpu(x)
    assert not is_plain_cpu(x.double())
    assert not is_plain_cpu(x.to("meta"))
    with FlopCounterMode(display=False):
        assert not is_plain_cpu(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_plain_cpu(x)
    with torch.backends.mkldnn.flags(enabled=False):
        assert not is_plain_cpu(x)
    with torch.autograd.forward_ad.dual_level():
        assert not is_plain_cpu(x)
    with default_kernels():
        assert not is_plain_cpu(x)


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")  # torch 2.14 would rather export
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_transforms_of_functions_work() -> None:
    conv, x = Conv3d(3, 8, 3, padding=1), clips(2, 3, 4, 9, 9)
    each = torch.func.vmap(lambda one: conv(one[None])[0])(x)
    assert torch.allclose(each, conv(x), atol=1e-4)
    _, slope = torch.func.jvp(conv, (x,), (torch.ones_like(x),))
    assert slope.shape == (2, 8, 4, 9, 9)


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")  # torch 2.14 would rather export
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit warns of its own age
def test_layers_export_and_trace() -> None:
    layer = ConvModule(3, 8, 3, padding=1, conv_cfg={"type": "Conv3d"}, norm_cfg={"type": "BN3d"}).eval()
    x = clips(2, 3, 4, 9, 9)
    with torch.no_grad():
        exported = torch.export.export(layer, (x,))
        assert "mkldnn" not in str(exported.graph)
        assert torch.allclose(exported.module()(x), layer(x), atol=1e-5)
        traced = torch.jit.trace(layer, x)
        assert torch.allclose(traced(x), layer(x), atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        Conv2d(3, 8, 3),
        Conv3d(3, 8, 3, padding=1),
        nn.Sequential(ConvModule(3, 8, 3, conv_cfg={"type": "Conv3d"}, norm_cfg={"type": "BN3d"})).eval(),
    ],
)
def test_layers_are_traced_by_fx(layer: nn.Module) -> None:
    traced = torch.fx.symbolic_trace(layer)
    assert "conv" in traced.code
    x = clips(2, 3, 9, 9) if isinstance(layer, Conv2d) else clips(2, 3, 4, 9, 9)
    with torch.no_grad():
        assert torch.allclose(traced(x), layer(x), atol=1e-5)


def hooked_modules(network: nn.Module, x: Tensor, register: Callable) -> list[nn.Module]:
    """The modules that hooks for all modules see, in order."""
    seen: list[nn.Module] = []
    handle = register(lambda module, *args: seen.append(module))
    try:
        with torch.no_grad():
            network(x)
    finally:
        handle.remove()
    return seen


@pytest.mark.parametrize("register", [modules.register_module_forward_hook, modules.register_module_forward_pre_hook])
@pytest.mark.parametrize("conv", ["Conv3d", "Conv2plus1d"])
def test_hooks_for_all_modules_see_every_module(register: Callable, conv: str) -> None:
    layer = ConvModule(3, 8, 3, padding=1, bias=False, conv_cfg={"type": conv}, norm_cfg={"type": "BN3d"}).eval()
    assert set(hooked_modules(layer, clips(2, 3, 4, 9, 9), register)) == set(layer.modules())


def test_hooks_for_all_modules_see_shifted_convolutions() -> None:
    network = MODELS.build({"type": "ResNetTSM", "depth": 18, "num_segments": 2}).eval()
    seen = hooked_modules(network, clips(4, 3, 32, 32), modules.register_module_forward_hook)
    assert {module for module in network.modules() if isinstance(module, Conv2d | nn.BatchNorm2d)} <= set(seen)


@pytest.mark.parametrize("ours", [Conv3d(3, 8, 3), Conv3d(3, 8, (1, 1, 1)), Conv2d(3, 8, 3)])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64])
def test_a_weight_of_another_type_gets_torchs_message(ours: nn.Module, kind: torch.dtype) -> None:
    torchs = (nn.Conv2d if isinstance(ours, Conv2d) else nn.Conv3d)(3, 8, ours.kernel_size).to(kind)
    x = clips(2, 3, 9, 9) if isinstance(ours, Conv2d) else clips(2, 3, 4, 9, 9)
    with pytest.raises(RuntimeError) as expected:
        torchs(x)
    with pytest.raises(RuntimeError, match=re.escape(str(expected.value))):
        copy.deepcopy(ours).to(kind)(x)


def test_what_derives_from_a_convolution_is_called() -> None:
    class Doubled(Conv3d):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    norm, x = nn.BatchNorm3d(8).eval(), clips(2, 3, 4, 9, 9)
    doubled, patched = Doubled(3, 8, 3, padding=1), Conv3d(3, 8, 3, padding=1)
    patched.forward = doubled.forward
    with torch.no_grad():
        for conv in (doubled, patched):
            assert torch.allclose(convolve_and_normalize(conv, norm, x), norm(doubled(x)), atol=1e-6)


@pytest.mark.parametrize("name", PRIVATE_NAMES)
def test_torch_still_has_the_private_name(name: str) -> None:
    assert operator.attrgetter(name)(torch) is not None
    assert missing_private_names() == []


def test_a_torch_without_a_private_name_uses_its_default_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    conv, norm, x = Conv3d(3, 8, 3, padding=1), nn.BatchNorm3d(8).eval(), clips(2, 3, 4, 9, 9)
    assert is_plain_cpu(x)
    monkeypatch.delattr(torch.autograd.forward_ad, "_current_level")
    _is_supported.cache_clear()
    _has_private_names.cache_clear()
    try:
        assert missing_private_names() == ["autograd.forward_ad._current_level"]
        assert not is_plain_cpu(x)
        assert best_layout(x, conv) == torch.preserve_format
        with torch.no_grad():
            assert torch.equal(convolve_and_normalize(conv, norm, x), norm(conv(x)))
    finally:
        _is_supported.cache_clear()
        _has_private_names.cache_clear()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_networks_compile_in_one_piece() -> None:
    two_stages = {"num_stages": 2, "spatial_strides": (1, 2), "temporal_strides": (1, 1), "dilations": (1, 1)}
    settings = {"depth": 18, "base_channels": 4, "lateral": False, "out_indices": (1,), "inflate": (0, 1)}
    network = MODELS.build({"type": "ResNet3dSlowOnly", **settings, **two_stages}).eval()
    x = clips(2, 3, 4, 32, 32)
    with torch.no_grad():
        compiled = torch.compile(network, backend="eager", fullgraph=True)
        assert torch.allclose(compiled(x), network(x), atol=1e-5)


def test_unbatched_padded_by_name_and_empty_inputs_have_torchs_shapes() -> None:
    conv = Conv3d(3, 8, 3, padding="same")
    assert conv(clips(2, 3, 4, 9, 9)).shape == (2, 8, 4, 9, 9)
    assert Conv3d(3, 8, 3, padding=1)(torch.randn(3, 4, 9, 9)).shape == (8, 4, 9, 9)
    assert Conv3d(3, 8, 3, padding=1, padding_mode="circular")(clips(1, 3, 4, 9, 9)).shape == (1, 8, 4, 9, 9)
    assert Conv3d(3, 8, 3, padding=1)(torch.empty(0, 3, 4, 9, 9)).shape == (0, 8, 4, 9, 9)


def test_every_second_frame_is_convolved_with_its_channels_last() -> None:
    conv, x = Conv3d(3, 8, 3, padding=1), clips(2, 3, 8, 9, 9)[:, :, ::2]
    out = conv(x)
    assert out.is_contiguous(memory_format=torch.channels_last_3d)
    with default_kernels():
        assert torch.allclose(out, conv(x), atol=1e-5)


def test_the_smallest_inputs_keep_their_channels_first_in_evaluation(monkeypatch) -> None:
    network = nn.Sequential(Conv3d(3, 64, 3), Conv3d(64, 512, 3))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert best_layout(torch.empty(2, 3, 4, 8, 8), network) == torch.channels_last_3d
    with torch.no_grad():
        assert best_layout(torch.empty(2, 3, 4, 8, 8), network) == torch.contiguous_format
        assert best_layout(torch.empty(2, 3, 8, 112, 112), network) == torch.channels_last_3d
    assert best_layout(torch.empty(2, 3, 8, 112, 112), network) == torch.channels_last_3d
    assert best_layout(torch.empty(2, 3, 8, 112, 112, device="meta"), network) == torch.preserve_format
