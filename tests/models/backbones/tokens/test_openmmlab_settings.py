"""Settings of OpenMMLab's transformers that no published config changes have the effect that they have there."""

import pytest
import torch

from kinema.errors import ConfigError
from kinema.models import MViT, SwinTransformer3D, TimeSformer, UniFormerV2, VisionTransformer

POOLED = dict(embed_dims=8, num_layers=4, num_heads=1, downscale_indices=[1, 3])


def mvit(arch: dict | None = None, **settings: object) -> MViT:
    return MViT({**POOLED, **(arch or {})}, **{"spatial_size": 32, "temporal_size": 4, **settings})


@pytest.mark.parametrize("kind", ["divided_space_time", "joint_space_time", "space_only"])
def test_norm_cfg_of_timesformer_is_that_of_its_last_norm(kind: str) -> None:
    def eps(**settings: object) -> tuple[float, set[float]]:
        model = TimeSformer(
            **dict(num_frames=2, img_size=8, patch_size=4, embed_dims=8, num_heads=2, num_transformer_layers=1),
            **dict(attention_type=kind, **settings),
        )
        layers = model.transformer_layers.modules()
        return model.norm.eps, {part.eps for part in layers if isinstance(part, torch.nn.LayerNorm)}

    assert eps() == (1e-6, {1e-6})
    assert eps(norm_cfg=dict(type="LN", eps=1e-3)) == (1e-3, {1e-6})
    assert eps(layer_norm_cfg=dict(type="LN", eps=1e-3)) == (1e-6, {1e-3})


def test_channels_of_pooled_tokens_grow_where_the_architecture_says() -> None:
    assert [block.out_dims for block in mvit().blocks] == [8, 16, 16, 32]
    given = mvit(dict(dim_mul_indices=[2]))
    assert [block.out_dims for block in given.blocks] == [8, 8, 16, 16]
    assert [block.attn.num_heads for block in given.blocks] == [1, 2, 4, 8]
    late = mvit(dict(dim_mul_indices=[2]), dim_mul_in_attention=False)
    assert [block.out_dims for block in late.blocks] == [8, 16, 16, 16]


def test_steps_of_pooled_keys_fall_in_time_as_in_space() -> None:
    blocks = mvit(adaptive_kv_stride=(2, 4, 2)).blocks
    assert [block.attn.pool_k.stride for block in blocks] == [(2, 4, 2), (1, 2, 1), (1, 2, 1), (1, 1, 1)]
    # The table of columns is as long as the steps over rows make that of rows.
    sizes = [tuple(len(getattr(block.attn, f"rel_pos_{axis}")) for axis in "thw") for block in blocks]
    assert sizes == [(3, 15, 15), (3, 7, 7), (3, 7, 7), (3, 7, 7)]


def test_a_table_of_positions_has_a_place_for_a_class_token_that_is_not_there() -> None:
    model = mvit(use_abs_pos_embed=True, with_cls_token=False, output_cls_token=False).eval()
    assert model.pos_embed.shape == (1, 1 + 2 * 8 * 8, 8)
    torch.nn.init.normal_(model.pos_embed)
    clip = torch.randn(1, 3, 4, 32, 32)
    (before,) = model(clip)
    with torch.no_grad():
        model.pos_embed[:, 0] += 1
        assert torch.equal(model(clip)[0], before)
        model.pos_embed[:, 1, 0] += 1
        assert not torch.equal(model(clip)[0], before)
    assert model(torch.randn(1, 3, 8, 64, 32))[0].shape == (1, 32, 4, 4, 2)


def test_a_decoder_looks_at_blocks_in_the_order_of_the_network() -> None:
    settings = dict(input_resolution=8, patch_size=4, width=8, layers=2, heads=1, n_dim=8, n_head=1, n_layers=2)
    settings |= dict(mlp_dropout=[0.0, 0.0], clip_pretrained=False)
    model, turned = (UniFormerV2(**settings, return_list=blocks).eval() for blocks in ([0, 1], [1, 0]))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    turned.load_state_dict(model.state_dict())
    clip = torch.randn(1, 3, 2, 8, 8)
    assert torch.equal(turned(clip), model(clip))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: mvit(dict(downscale_indices=[1, 4])),
            r"downscale_indices of arch must be blocks from 0 to 3, .* \[1, 4",
        ),
        (lambda: mvit(dict(downscale_indices=[3, 1])), r"each once and in ascending order, got \[3, 1\]"),
        (lambda: mvit(dict(dim_mul_indices=[7])), r"dim_mul_indices of arch must be blocks from 0 to 3, .* got \[7\]"),
        (lambda: mvit(dict(mlp_ratio=2)), r"MViT: arch has no 'mlp_ratio'; it has embed_dims, .*, dim_mul_indices"),
        (lambda: mvit(dict(num_layers=0)), r"MViT: arch: num_layers must be a whole number from 1, got 0"),
        (
            lambda: mvit(dict(downscale_indices=[0]), out_scales=0),
            r"out_scales names stage 0, but block 0 begins stage 1",
        ),
        (
            lambda: SwinTransformer3D(dict(embed_dims=8, depths=[1], num_heads=[2], ratio=2), out_indices=(0,)),
            r"arch must be a dict of embed_dims, depths and num_heads, .* got .*'ratio': 2",
        ),
    ],
)
def test_an_architecture_that_is_none_is_refused(call, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()


def test_learned_positions_of_a_vision_transformer_start_small_but_apart() -> None:
    sizes = dict(img_size=32, embed_dims=48, depth=1, num_heads=2, num_frames=4)
    positions = VisionTransformer(**sizes, use_learnable_pos_emb=True).pos_embed
    assert positions.std().item() == pytest.approx(0.02, rel=0.2)
