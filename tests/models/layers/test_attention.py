"""Attention by the fused kernel equals torch's own modules."""

import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models.layers.attention import PackedAttention, attend, in_rows
from kinema.models.layers.cpu_convolution import default_kernels


def test_packed_attention_is_torchs_with_its_names() -> None:
    torch.manual_seed(0)
    attention = PackedAttention(24, 4)
    reference = nn.MultiheadAttention(24, 4, batch_first=True)
    nn.init.normal_(reference.in_proj_bias)
    attention.load_state_dict(reference.state_dict())
    x, context = torch.randn(2, 5, 24), torch.randn(2, 7, 24)
    torch.testing.assert_close(attention(x), reference(x, x, x)[0])
    torch.testing.assert_close(attention(x, context), reference(x, context, context)[0])


def test_few_queries_give_what_many_give_and_the_same_gradients() -> None:
    torch.manual_seed(0)
    attention = PackedAttention(24, 4)
    nn.init.normal_(attention.in_proj_bias)
    x, context = torch.randn(2, 6, 24), torch.randn(2, 7, 24)
    gradients = []
    for count in (1, 6):
        attention.zero_grad()
        out = torch.cat([attention(part, context) for part in x.split(count, 1)], 1)
        out.square().sum().backward()
        gradients.append([out, *(parameter.grad for parameter in attention.parameters())])
    for few, many in zip(*gradients, strict=True):
        torch.testing.assert_close(few, many, atol=1e-5, rtol=1e-5)


def test_packed_attention_starts_as_torchs() -> None:
    torch.manual_seed(0)
    attention = PackedAttention(24, 4)
    torch.manual_seed(0)
    reference = nn.MultiheadAttention(24, 4)
    for name, tensor in reference.state_dict().items():
        assert torch.equal(attention.state_dict()[name], tensor), name


def test_heads_divide_the_channels() -> None:
    with pytest.raises(ConfigError, match="num_heads=5 does not divide embed_dims=24"):
        PackedAttention(24, 5)


def test_long_sequences_without_gradients_lie_by_head_and_give_the_same() -> None:
    torch.manual_seed(0)
    qkv = torch.randn(2, 800, 3 * 8)
    with torch.no_grad():
        assert in_rows(qkv.view(2, 800, 6, 4).transpose(1, 2)).is_contiguous()
        actual = attend(qkv, 2)
        with default_kernels():
            torch.testing.assert_close(actual, attend(qkv, 2))
        short = torch.randn(2, 6, 5, 4).transpose(2, 3)
        assert in_rows(short) is short
    heads = qkv.view(2, 800, 6, 4).transpose(1, 2)
    assert in_rows(heads) is heads  # gradients are recorded
