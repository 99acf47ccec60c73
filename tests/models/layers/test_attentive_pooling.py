"""Blocks and attentive pooling against the same computation with explicit matrices."""

import math

import pytest
import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.layers.attentive_pooling import AttentivePooler, CrossAttention
from kinema.models.layers.prenorm import PreNormBlock, QkvAttention, scale_residuals


def drawn(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.eval()


def by_matrices(query: Tensor, key: Tensor, value: Tensor, num_heads: int) -> Tensor:
    """(B, Q, C) and (B, N, C) twice -> (B, Q, C)."""
    query, key, value = (
        tokens.view(*tokens.shape[:2], num_heads, -1).transpose(1, 2) for tokens in (query, key, value)
    )
    weights = (query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])).softmax(-1)
    return (weights @ value).transpose(1, 2).flatten(2)


def test_a_block_is_norm_attention_norm_and_two_layers() -> None:
    block, x = drawn(PreNormBlock(8, 2, 2.5)), torch.randn(2, 5, 8)
    query, key, value = block.attn.qkv(block.norm1(x)).chunk(3, -1)
    middle = x + block.attn.proj(by_matrices(query, key, value, 2))
    expected = middle + block.mlp.fc2(nn.functional.gelu(block.mlp.fc1(block.norm2(middle))))
    assert torch.allclose(block(x), expected, atol=1e-5)
    assert block.mlp.fc1.out_features == 20


@pytest.mark.parametrize("settings", [{}, {"complete_block": False}, {"out_projection": True, "num_queries": 3}])
def test_queries_see_all_tokens_and_are_not_normed_before(settings: dict) -> None:
    pooler, x = drawn(AttentivePooler(8, 2, 2, **settings)), torch.randn(3, 5, 8)
    last, queries = pooler.cross_attention_block, pooler.query_tokens.expand(3, -1, -1)
    tokens = pooler.blocks[0](x)
    is_whole = settings.get("complete_block", True)
    attention = last.xattn if is_whole else last
    key, value = attention.kv(last.norm1(tokens) if is_whole else tokens).chunk(2, -1)
    seen = by_matrices(attention.q(queries), key, value, 2)
    if settings.get("out_projection"):
        seen = attention.proj(seen)
    if is_whole:
        queries = queries + seen
        seen = queries + last.mlp(last.norm2(queries))
    assert torch.allclose(pooler(x), seen, atol=1e-5)


def test_norms_of_a_pooler_have_the_eps_of_its_authors() -> None:
    norms = [module for module in AttentivePooler(8, 2).modules() if isinstance(module, nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {1e-5}
    assert len(norms) == 8
    assert {module.eps for module in PreNormBlock(8, 2).modules() if isinstance(module, nn.LayerNorm)} == {1e-6}


def test_the_last_layers_of_deep_blocks_start_smaller() -> None:
    blocks = nn.ModuleList(PreNormBlock(8, 2) for _ in range(2))
    for parameter in blocks.parameters():
        nn.init.ones_(parameter)
    scale_residuals(blocks)
    assert [round(block.attn.proj.weight[0, 0].item(), 4) for block in blocks] == [0.7071, 0.5]
    assert [round(block.mlp.fc2.weight[0, 0].item(), 4) for block in blocks] == [0.7071, 0.5]


def test_heads_and_depths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="attention: num_heads=3 does not divide embed_dims=8"):
        QkvAttention(8, 3)
    with pytest.raises(ConfigError, match="attentive pooling: num_heads=3 does not divide embed_dims=8"):
        CrossAttention(8, 3)
    with pytest.raises(ConfigError, match="attentive pooling: depth must be at least 1, got 0"):
        AttentivePooler(8, 2, 0)
    with pytest.raises(ConfigError, match="attentive pooling: num_queries must be at least 1, got 0"):
        AttentivePooler(8, 2, num_queries=0)
