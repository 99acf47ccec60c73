"""TimeSformer's shortcuts: what nobody needs is not computed, and the result stays the same."""

import pytest
import torch

from kinema.models import TimeSformer

KINDS = ("divided_space_time", "joint_space_time", "space_only")


def network(kind: str, **settings: int) -> TimeSformer:
    torch.manual_seed(0)
    model = TimeSformer(
        **{"num_frames": 2, "img_size": 32, "patch_size": 8, "embed_dims": 16, "num_heads": 2, **settings},
        num_transformer_layers=2,
        attention_type=kind,
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_the_class_token_alone_is_the_first_of_all_tokens(kind: str) -> None:
    model = network(kind)
    clips = torch.randn(3, 3, 2, 32, 32)
    torch.testing.assert_close(model(clips), model.tokens(clips)[:, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_hook_sees_every_token_of_the_last_layer(kind: str) -> None:
    model = network(kind)
    clips = torch.randn(1, 3, 2, 32, 32)
    expected = model(clips)
    seen = []
    norm = model.transformer_layers.layers[-1].ffns[0]
    norm.register_forward_hook(lambda module, args, output: seen.append(output.numel() // 16))
    torch.testing.assert_close(model(clips), expected)
    assert seen[0] == {"divided_space_time": 2 * 17, "joint_space_time": 1 + 2 * 16, "space_only": 2 * 17}[kind]


@torch.no_grad()
def test_joined_linear_layers_change_no_result_and_leave_hooks_alone() -> None:
    model = network("divided_space_time")
    clips = torch.randn(2, 3, 2, 32, 32)
    joined = model(clips)
    calls = []
    for layer in model.transformer_layers.layers:
        layer.attentions[0].temporal_fc.register_forward_hook(lambda *args: calls.append(1))
    torch.testing.assert_close(model(clips), joined)
    assert len(calls) == 2


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_joined_linear_layers_have_the_gradients_of_both(rate: float) -> None:
    model = network("divided_space_time").train()
    attention = model.transformer_layers.layers[1].attentions[0]
    attention.dropout_layer.drop_prob = rate
    x = torch.randn(4, 2, 17, 16)

    def result_and_gradients() -> list[torch.Tensor]:
        torch.manual_seed(1)
        out = attention(x)
        return [out, *torch.autograd.grad(out.square().sum(), list(attention.parameters()))]

    joined = result_and_gradients()
    calls = []
    attention.temporal_fc.register_forward_hook(lambda *args: calls.append(1))
    torch.testing.assert_close(joined, result_and_gradients(), atol=1e-4, rtol=1e-4)
    assert calls


def test_a_place_that_does_without_does_so_at_all_times_and_keeps_the_bias() -> None:
    model = network("divided_space_time")
    attention = model.transformer_layers.layers[1].attentions[0].train()
    attention.dropout_layer.drop_prob = 0.5
    x = torch.randn(4, 2, 17, 16)
    change = attention(x) - x
    assert not change[:, :, 0].any()
    without = (change[:, :, 1:] - attention.temporal_fc.bias).abs().amax(-1) < 1e-6  # (B, T, N)
    assert torch.equal(without[:, 0], without[:, 1])
    assert 0.2 < without.float().mean() < 0.8
