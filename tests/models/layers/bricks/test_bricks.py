import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kinema.errors import ConfigError
from kinema.models.layers import ConvModule, build_conv_layer
from kinema.models.layers.bricks import (
    FFN,
    AdaptivePadding,
    AdaptivePadding3D,
    BaseTransformerLayer,
    ContextBlock,
    Conv2dAdaptivePadding,
    ConvAWS2d,
    DepthwiseSeparableConvModule,
    DropPath,
    GeneralizedAttention,
    LayerScale,
    MultiheadAttention,
    PatchEmbed,
    PatchEmbed3D,
    PatchMerging,
    Scale,
    TransformerLayerSequence,
    build_dropout,
    build_padding_layer,
    build_transformer_layer,
    build_upsample_layer,
    conv_ws_2d,
)


def test_dropped_paths_are_whole_samples_and_the_mean_stays() -> None:
    torch.manual_seed(0)
    path = build_dropout({"type": "DropPath", "drop_prob": 0.25})
    x = torch.ones(4000, 2, 3)
    out = path(x)
    assert sorted(set(out.flatten(1).mean(dim=1).tolist())) == pytest.approx([0.0, 1 / 0.75])
    assert out.mean().item() == pytest.approx(1, abs=0.05)
    assert path.eval()(x) is x
    assert DropPath(0.0)(x) is x
    assert build_dropout({"type": "Dropout", "drop_prob": 0.4}).p == 0.4


def test_factors_start_as_given_and_multiply_channels() -> None:
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(Scale(2.0)(x), 2 * x)
    last, first = LayerScale(4, scale=0.5), LayerScale(3, data_format="channels_first", inplace=True)
    assert torch.equal(last(x), x * 0.5)
    with torch.no_grad():
        assert torch.equal(first(x.clone()), x * 1e-5)
    with pytest.raises(ValueError, match="data_format is 'channels_last' or 'channels_first', not 'x'"):
        LayerScale(3, data_format="x")


def test_padding_and_upsampling_are_built_by_name() -> None:
    x = torch.rand(1, 4, 4, 5)
    for name in ("zero", "reflect", "replicate"):
        mode = "constant" if name == "zero" else name
        assert torch.equal(build_padding_layer({"type": name}, 2)(x), F.pad(x, (2, 2, 2, 2), mode=mode))
    assert build_upsample_layer({"type": "bilinear", "scale_factor": 2}).mode == "bilinear"
    shuffle = build_upsample_layer(
        {"type": "pixel_shuffle", "in_channels": 4, "out_channels": 3, "scale_factor": 2, "upsample_kernel": 3}
    )
    assert shuffle(x).shape == (1, 3, 8, 10)
    with pytest.raises(ConfigError, match="padding names 'edge', which is no layer"):
        build_padding_layer({"type": "edge"}, 1)


@pytest.mark.parametrize(("size", "kernel", "stride", "dilation"), [((11, 13), 2, 2, 1), ((5, 7), (8, 6), (8, 6), 2)])
def test_adaptive_padding_lets_windows_cover_all(size, kernel, stride, dilation) -> None:
    corner = AdaptivePadding(kernel, stride, dilation)
    rows, columns = corner.get_pad_shape(size)
    for length, extra, axis in ((size[0], rows, 0), (size[1], columns, 1)):
        span = (corner.kernel_size[axis] - 1) * dilation + 1
        assert (length + extra - span) // corner.stride[axis] + 1 == math.ceil(length / corner.stride[axis])
    x = torch.ones(1, 1, *size)
    assert torch.equal(corner(x)[..., : size[0], : size[1]], x)
    same = AdaptivePadding(kernel, stride, dilation, "same")(x)
    assert torch.equal(same[..., rows // 2 : rows // 2 + size[0], columns // 2 : columns // 2 + size[1]], x)
    with pytest.raises(ValueError, match="padding is 'same' or 'corner', not 'valid'"):
        AdaptivePadding(padding="valid")


def test_adaptive_padding_of_clips_pads_frames_too() -> None:
    x = torch.ones(1, 1, 5, 7, 8)
    padded = AdaptivePadding3D((2, 4, 4), (2, 4, 4))(x)
    assert padded.shape == (1, 1, 6, 8, 8)
    assert padded[0, 0, :, :, 0].sum(1).tolist() == [7, 7, 7, 7, 7, 0]
    with pytest.raises(ValueError, match=r"a size is a number or 3 numbers, got \(2, 2\)"):
        AdaptivePadding3D((2, 2))


def test_weights_are_standardised_by_channel() -> None:
    torch.manual_seed(0)
    conv = build_conv_layer({"type": "ConvWS"}, 3, 4, 3, bias=False)
    x = torch.rand(1, 3, 5, 5)
    weight = torch.stack([(part - part.mean()) / (part.std() + 1e-5) for part in conv.weight])
    assert torch.allclose(conv(x), F.conv2d(x, weight), atol=1e-5)
    assert torch.allclose(conv_ws_2d(x, conv.weight), F.conv2d(x, weight), atol=1e-5)
    plain, standardised = nn.Conv2d(3, 4, 3), ConvAWS2d(3, 4, 3)
    standardised.load_state_dict(plain.state_dict())
    assert torch.allclose(standardised(x), plain(x), atol=1e-4)
    other = ConvAWS2d(3, 4, 3)
    other.load_state_dict(standardised.state_dict())
    assert torch.equal(other(x), standardised(x))
    with pytest.raises(RuntimeError, match="weight_gamma"):
        other.load_state_dict({"bias": plain.bias})
    assert Conv2dAdaptivePadding(3, 4, 3, stride=2)(torch.rand(1, 3, 8, 9)).shape == (1, 4, 4, 5)


def test_a_separable_convolution_is_two_blocks_with_their_own_norms() -> None:
    block = DepthwiseSeparableConvModule(3, 8, 2, norm_cfg={"type": "BN"}, dw_act_cfg=None, pw_norm_cfg=None)
    assert block.depthwise_conv.conv.groups == 3
    assert block.depthwise_conv.with_norm
    assert not block.depthwise_conv.with_activation
    assert not block.pointwise_conv.with_norm
    assert block(torch.rand(1, 3, 6, 6)).shape == (1, 8, 5, 5)
    with pytest.raises(TypeError, match="no keyword 'groups'"):
        DepthwiseSeparableConvModule(3, 8, 2, groups=3)


@pytest.mark.parametrize("pooling", ["att", "avg"])
def test_a_context_block_adds_what_all_positions_share(pooling: str) -> None:
    block = ContextBlock(8, 0.5, pooling, ("channel_add", "channel_mul"))
    x = torch.rand(2, 8, 4, 5)
    assert torch.allclose(block(x), 0.5 * x)  # its last layers start as zero
    nn.init.normal_(block.channel_add_conv[-1].weight)
    difference = block(x) - 0.5 * x
    assert torch.allclose(difference, difference.mean(dim=(2, 3), keepdim=True), atol=1e-6)
    if pooling == "avg":
        assert torch.allclose(block.spatial_pool(x), x.mean(dim=(2, 3), keepdim=True))
    with pytest.raises(ValueError, match="pooling_type is 'att' or 'avg'"):
        ContextBlock(8, 0.5, "max")
    with pytest.raises(ValueError, match="fusion_types holds 'channel_add', 'channel_mul' or both"):
        ContextBlock(8, 0.5, fusion_types=())


def test_attention_equals_its_formula_in_both_layouts() -> None:
    torch.manual_seed(0)
    attention = MultiheadAttention(6, 1, batch_first=True)
    x, key, place = torch.rand(2, 4, 6), torch.rand(2, 4, 6), torch.rand(2, 4, 6)
    weight, bias = attention.attn.in_proj_weight, attention.attn.in_proj_bias
    q, k, v = (
        part @ weight[6 * i : 6 * i + 6].T + bias[6 * i : 6 * i + 6]
        for i, part in enumerate((x + place, key + place, key))
    )
    seen = torch.softmax(q @ k.transpose(1, 2) / 6**0.5, dim=-1) @ v
    expected = x + attention.attn.out_proj(seen)
    assert torch.allclose(attention(x, key, query_pos=place), expected, atol=1e-5)
    other = MultiheadAttention(6, 1, dropout=0.3).eval()
    assert (other.attn.dropout, other.dropout_layer.p) == (0.3, 0.3)
    other.load_state_dict(attention.state_dict())
    swapped = [part.transpose(0, 1) for part in (x, key)]
    assert torch.allclose(other(*swapped, query_pos=place.transpose(0, 1)).transpose(0, 1), expected, atol=1e-5)
    zero = torch.zeros_like(x)
    assert torch.equal(attention(x, residual=zero), attention(x, identity=zero))
    assert not torch.equal(attention(x, residual=zero), attention(x))
    with pytest.warns(UserWarning, match="position encoding of key is missing"):
        attention(x, key[:, :2], query_pos=place)


def test_a_feed_forward_block_has_its_layers_scale_and_identity() -> None:
    block = FFN(4, 8, num_fcs=3, layer_scale_init_value=0.5)
    x = torch.rand(2, 3, 4)
    assert torch.allclose(block(x), x + 0.5 * block.layers(x))
    assert torch.allclose(block(x, identity=2 * x) - block(x), x, atol=1e-6)
    assert torch.equal(block(x, residual=2 * x), block(x, identity=2 * x))
    plain = FFN(4, 8, dropout=0.25, add_residual=False)
    assert plain.layers[0][2].p == 0.25
    assert torch.equal(plain.eval()(x), plain.layers(x))
    with pytest.raises(ValueError, match="at least 2 linear layers, got num_fcs=1"):
        FFN(num_fcs=1)


def test_patches_are_embedded_and_merged() -> None:
    embed = PatchEmbed(3, 8, kernel_size=4, stride=None, input_size=(10, 10), norm_cfg={"type": "LN"})
    out, size = embed(torch.rand(2, 3, 10, 10))
    assert (out.shape, size, embed.init_out_size) == ((2, 9, 8), (3, 3), (3, 3))
    merge = PatchMerging(8, 16)
    merged, size = merge(torch.rand(2, 12, 8), (3, 4))
    assert (merged.shape, size) == ((2, 4, 16), (2, 2))
    with pytest.raises(ValueError, match=r"input_size \(3, 3\) has 9 patches, but x has 12"):
        merge(torch.rand(2, 12, 8), (3, 3))
    with pytest.raises(TypeError, match=r"input_size is \(H, W\), got 3"):
        merge(torch.rand(2, 12, 8), 3)


def test_patches_of_clips_are_cubes() -> None:
    embed = PatchEmbed3D(3, 8, input_size=(5, 17, 20)).double()
    x = torch.rand(2, 3, 5, 17, 20, dtype=torch.double)
    out, size = embed(x)
    assert (out.shape, size, embed.init_out_size) == ((2, 75, 8), (3, 5, 5), (3, 5, 5))
    cube = x[1, :, 2:4, 4:8, 12:16].flatten()
    weight, bias = embed.projection.weight.flatten(1), embed.projection.bias
    assert torch.allclose(out[1].view(3, 5, 5, 8)[1, 1, 3], weight @ cube + bias)


ATTENTION = {"type": "MultiheadAttention", "embed_dims": 8, "num_heads": 2}
FEED = {"type": "FFN", "embed_dims": 8, "feedforward_channels": 16}


def test_a_transformer_layer_applies_its_operations_in_their_order() -> None:
    order = ("self_attn", "norm", "cross_attn", "norm", "ffn", "norm")
    with pytest.warns(DeprecationWarning, match="BaseTransformerLayer: set num_fcs in ffn_cfgs"):
        layer = BaseTransformerLayer(ATTENTION, FEED, order, ffn_num_fcs=3, batch_first=True)
    x, key = torch.rand(2, 3, 8), torch.rand(2, 5, 8)
    hidden = layer.norms[0](layer.attentions[0](x, x, x))
    hidden = layer.norms[1](layer.attentions[1](hidden, key, key))
    assert torch.allclose(layer(x, key, key), layer.norms[2](layer.ffns[0](hidden)), atol=1e-6)
    assert [part.operation_name for part in layer.attentions] == ["self_attn", "cross_attn"]
    assert layer.ffns[0].num_fcs == 3
    first = build_transformer_layer(
        {
            "type": "BaseTransformerLayer",
            "attn_cfgs": ATTENTION,
            "ffn_cfgs": FEED,
            "operation_order": ("norm", "self_attn"),
        }
    )
    normed = first.norms[0](x)
    assert first.pre_norm
    assert torch.allclose(first(x), first.attentions[0](normed, normed, normed, x), atol=1e-6)
    with pytest.raises(ValueError, match="2 blocks of attention, got 1 attn_masks"):
        layer(x, key, key, attn_masks=[None])


def test_transformer_configs_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="operation_order holds self_attn, norm, ffn, cross_attn, got None"):
        BaseTransformerLayer(ATTENTION)
    with pytest.raises(ConfigError, match="attn_cfgs has 2 configs for 1 blocks"):
        BaseTransformerLayer([ATTENTION, ATTENTION], FEED, ("self_attn",))
    with pytest.raises(ConfigError, match="ffn_cfgs says embed_dims=256, but attention 8"):
        BaseTransformerLayer(ATTENTION, operation_order=("self_attn", "ffn"))
    with pytest.raises(ConfigError, match="attn_cfgs says batch_first=True, but the layer False"):
        BaseTransformerLayer({**ATTENTION, "batch_first": True}, FEED, ("self_attn",))


def test_a_sequence_of_transformer_layers_passes_the_query_on() -> None:
    layer = {
        "type": "BaseTransformerLayer",
        "attn_cfgs": ATTENTION,
        "ffn_cfgs": FEED,
        "operation_order": ("self_attn", "norm"),
    }
    stack = TransformerLayerSequence(layer, 2)
    x = torch.rand(3, 2, 8)
    assert torch.allclose(stack(x, None, None), stack.layers[1](stack.layers[0](x)), atol=1e-6)
    assert (stack.embed_dims, stack.pre_norm) == (8, False)
    with pytest.raises(ConfigError, match="transformerlayers has 1 configs for 2 blocks"):
        TransformerLayerSequence([layer], 2)


def test_images_that_are_not_padded_with_zeros_have_a_padding_layer() -> None:
    block = ConvModule(3, 4, 3, padding=1, padding_mode="reflect", norm_cfg={"type": "BN"}).eval()
    x = torch.rand(1, 3, 6, 6)
    assert isinstance(block.padding_layer, nn.ReflectionPad2d)
    assert next(iter(block.state_dict())) == "conv.weight"
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
    assert torch.allclose(block(x), torch.relu(block.bn(F.conv2d(padded, block.conv.weight))), atol=1e-5)


def test_a_block_of_a_convolution_and_a_norm_that_exist_holds_these_two() -> None:
    conv, norm = nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4)
    block = ConvModule.create_from_conv_bn(conv, norm)
    x = torch.rand(2, 3, 7, 7)
    assert (block.conv, block.norm, block.stride) == (conv, norm, (2, 2))
    assert torch.equal(block.eval()(x), norm(conv(x)))


@pytest.mark.parametrize("kinds", ["1000", "0100", "0010", "0001", "1111"])
def test_generalized_attention_equals_its_sum_over_all_pairs(kinds: str) -> None:
    torch.manual_seed(0)
    block = GeneralizedAttention(8, spatial_range=3, num_heads=2, kv_stride=2, attention_type=kinds).double()
    nn.init.ones_(block.gamma)
    x = torch.rand(1, 8, 4, 5, dtype=torch.double)
    gathered = torch.zeros_like(x)
    waves = [1000 ** (4 * i / 8) for i in range(2)]

    def place(distance: int, layer: nn.Linear) -> torch.Tensor:
        angles = torch.tensor([distance / wave for wave in waves], dtype=torch.double)
        return layer(torch.cat([angles.sin(), angles.cos()])) / 2**0.5

    for head in (slice(0, 4), slice(4, 8)):
        for row, column in [(0, 0), (2, 3), (3, 4)]:
            energies, values = [], []
            for other_row, other_column in [(i, j) for i in (0, 2) for j in (0, 2, 4)]:
                # MMCV's window on the grid of every second row: (i - 3) // 2 to (i + 4) // 2.
                ends = [(i, (i - 3) // 2 * 2, (i + 4) // 2 * 2) for i in (row, column)]
                if not all(low <= k <= high for k, (_, low, high) in zip((other_row, other_column), ends, strict=True)):
                    continue
                energy = torch.zeros((), dtype=torch.double)
                query_at = x[:, :, row : row + 1, column : column + 1]
                key_at = x[:, :, other_row : other_row + 1, other_column : other_column + 1]
                if "1" in (kinds[0], kinds[1]):
                    query = block.query_conv(query_at).flatten()[head]
                if "1" in (kinds[0], kinds[2]):
                    key = block.key_conv(key_at).flatten()[head]
                if "1" in (kinds[1], kinds[3]):
                    where = place(row - other_row, block.appr_geom_fc_y) + place(
                        column - other_column, block.appr_geom_fc_x
                    )
                energy = energy + (query @ key if kinds[0] == "1" else 0)
                energy = energy + (query @ where[head] if kinds[1] == "1" else 0)
                energy = energy + (block.appr_bias[head] @ key if kinds[2] == "1" else 0)
                energy = energy + (block.geom_bias[head] @ where[head] if kinds[3] == "1" else 0)
                energies.append(energy)
                values.append(block.value_conv(key_at).flatten()[head])
            gathered[0, head, row, column] = torch.softmax(torch.stack(energies), 0) @ torch.stack(values)
    expected = x + block.proj_conv(gathered)
    actual = block(x)
    for row, column in [(0, 0), (2, 3), (3, 4)]:
        assert torch.allclose(actual[..., row, column], expected[..., row, column])


def test_generalized_attention_enlarges_what_fewer_positions_gather() -> None:
    block = GeneralizedAttention(8, num_heads=2, q_stride=2, attention_type="1000")
    assert block(torch.rand(2, 8, 7, 6)).shape == (2, 8, 7, 6)
    before = block.value_conv.weight.clone()
    block.init_weights()
    assert not torch.equal(block.value_conv.weight, before)
    with pytest.raises(ValueError, match="attention_type is four digits of 0 and 1 such as '1111', got '12'"):
        GeneralizedAttention(8, attention_type="12")


def test_generalized_attention_reads_files_that_hold_the_map_of_its_window() -> None:
    block = GeneralizedAttention(8, spatial_range=0, num_heads=2, kv_stride=1)
    seen = 1 - block.local_constraint_map
    assert (seen.shape, seen.dtype) == ((42, 42, 42, 42), torch.uint8)
    assert seen[5, 9].nonzero().tolist() == [[5, 9], [5, 10], [6, 9], [6, 10]]
    with pytest.raises(AttributeError, match="local_constraint_map"):
        _ = GeneralizedAttention(8, num_heads=2).local_constraint_map
    assert GeneralizedAttention(256, spatial_range=2).local_constraint_map.shape == (84, 84, 42, 42)
    weights = {**block.state_dict(), "local_constraint_map": block.local_constraint_map}
    block.load_state_dict(weights)
