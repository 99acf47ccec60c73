"""Files of VideoMAE's and Unmasked Teacher's authors, and of transformers, in `VisionTransformer`."""

import logging
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from kinema.checkpoints.file_formats import format_of, load_whole
from kinema.checkpoints.label_maps import pick_classes
from kinema.checkpoints.reading import Checkpoint
from kinema.errors import CheckpointError, ConfigError
from kinema.models import TimeSformerHead, VisionTransformer
from kinema.models.layers.attention import SelfAttention
from kinema.models.layers.cosine_attention import CosineAttention
from kinema.models.layers.positions import resize_positions, sinusoid_table

WIDTH, CLASSES = 24, 6


def encoder(**settings: object) -> VisionTransformer:
    small = dict(img_size=32, embed_dims=WIDTH, depth=2, num_heads=2, num_frames=4)
    return VisionTransformer(**{**small, **settings}).eval()


def weight(name: str, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(name.encode()))
    return torch.randn(shape, generator=generator) / 4


def file_of_authors(*, tubelet: int = 2, depth: int = 2, classes: int = CLASSES) -> dict[str, Tensor]:
    """What a fine-tuned file holds, written down from its authors' names."""
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embed.proj.weight": (WIDTH, 3, tubelet, 16, 16),
        "patch_embed.proj.bias": (WIDTH,),
        "fc_norm.weight": (WIDTH,),
        "fc_norm.bias": (WIDTH,),
        "head.weight": (classes, WIDTH),
        "head.bias": (classes,),
    }
    for block in range(depth):
        shapes |= {
            f"blocks.{block}.{name}": shape
            for name, shape in {
                "norm1.weight": (WIDTH,),
                "norm1.bias": (WIDTH,),
                "attn.q_bias": (WIDTH,),
                "attn.v_bias": (WIDTH,),
                "attn.qkv.weight": (3 * WIDTH, WIDTH),
                "attn.proj.weight": (WIDTH, WIDTH),
                "attn.proj.bias": (WIDTH,),
                "norm2.weight": (WIDTH,),
                "norm2.bias": (WIDTH,),
                "mlp.fc1.weight": (4 * WIDTH, WIDTH),
                "mlp.fc1.bias": (4 * WIDTH,),
                "mlp.fc2.weight": (WIDTH, 4 * WIDTH),
                "mlp.fc2.bias": (WIDTH,),
            }.items()
        }
    return {name: weight(name, *shape) for name, shape in shapes.items()}


def pretraining_file() -> dict[str, Tensor]:
    """What a file of masked pretraining holds: encoder with its own norm, decoder, no classifier."""
    own = {name: tensor for name, tensor in file_of_authors().items() if not name.startswith(("head.", "fc_norm."))}
    own["norm.weight"], own["norm.bias"] = torch.ones(WIDTH), torch.zeros(WIDTH)
    return {f"encoder.{name}": tensor for name, tensor in own.items()} | {
        "decoder.blocks.0.attn.qkv.weight": torch.zeros(3, 1),
        "decoder.head.weight": torch.zeros(2, 2),
        "mask_token": torch.zeros(1, 1, 12),
        "encoder_to_decoder.weight": torch.zeros(12, WIDTH),
    }


def file_of_transformers(*, old: bool = False) -> dict[str, Tensor]:
    """The same network under the names of transformers, those of today or those of its first files."""
    names = [
        (r"^patch_embed\.proj\.", "videomae.embeddings.patch_embeddings.projection."),
        (r"^blocks\.(\d)\.norm1", r"videomae.encoder.layer.\1.layernorm_before"),
        (r"^blocks\.(\d)\.norm2", r"videomae.encoder.layer.\1.layernorm_after"),
        (r"^blocks\.(\d)\.attn\.proj", r"videomae.encoder.layer.\1.attention.output.dense"),
        (r"^blocks\.(\d)\.mlp\.fc1", r"videomae.encoder.layer.\1.intermediate.dense"),
        (r"^blocks\.(\d)\.mlp\.fc2", r"videomae.encoder.layer.\1.output.dense"),
        (r"^blocks\.(\d)\.attn\.q_bias", r"videomae.encoder.layer.\1.attention.attention.query.bias"),
        (r"^blocks\.(\d)\.attn\.v_bias", r"videomae.encoder.layer.\1.attention.attention.value.bias"),
        (r"^head\.", "classifier."),
    ]
    state: dict[str, Tensor] = {}
    for name, tensor in file_of_authors().items():
        if "qkv" in name:
            start = name.replace("blocks.", "videomae.encoder.layer.").replace(
                "attn.qkv.weight", "attention.attention."
            )
            state |= {
                f"{start}{part}.weight": tensor[index * WIDTH : (index + 1) * WIDTH].clone()
                for index, part in enumerate(("query", "key", "value"))
            }
            continue
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)
        state[re.sub(r"(query|value)\.bias$", lambda match: f"{match[1][0]}_bias", name) if old else name] = tensor
    return state


def write(folder: Path, content: object) -> str:
    torch.save(content, folder / "weights.pth")
    return str(folder / "weights.pth")


def assert_is_the_file(backbone: VisionTransformer, head: TimeSformerHead) -> None:
    expected = file_of_authors()
    assert torch.equal(backbone.patch_embed.projection.weight, expected["patch_embed.proj.weight"])
    assert torch.equal(backbone.fc_norm.bias, expected["fc_norm.bias"])
    for index, block in enumerate(backbone.blocks):
        for own, name in (
            (block.attn.qkv.weight, "attn.qkv.weight"),
            (block.attn.q_bias, "attn.q_bias"),
            (block.attn.v_bias, "attn.v_bias"),
            (block.mlp.layers[0][0].weight, "mlp.fc1.weight"),
            (block.mlp.layers[1].bias, "mlp.fc2.bias"),
            (block.norm2.weight, "norm2.weight"),
        ):
            assert torch.equal(own, expected[f"blocks.{index}.{name}"])
    assert torch.equal(head.fc_cls.weight, expected["head.weight"])


@pytest.mark.parametrize("wrapper", ["module", "model", None])
@pytest.mark.parametrize("prefix", ["", "_orig_mod.", "module."])
def test_a_fine_tuned_file_of_the_authors_is_read_in_full(tmp_path: Path, wrapper: str | None, prefix: str) -> None:
    state = {f"{prefix}{name}": tensor for name, tensor in file_of_authors().items()}
    backbone, head = encoder(), TimeSformerHead(CLASSES, WIDTH)
    report = load_whole(write(tmp_path, {wrapper: state} if wrapper else state), backbone.file_formats, backbone, head)
    assert report.is_complete
    assert_is_the_file(backbone, head)


@pytest.mark.parametrize("old", [True, False])
def test_a_file_of_transformers_is_read_in_full_under_both_its_names(tmp_path: Path, old: bool) -> None:
    backbone, head = encoder(), TimeSformerHead(CLASSES, WIDTH)
    load_whole(write(tmp_path, file_of_transformers(old=old)), backbone.file_formats, backbone, head)
    assert_is_the_file(backbone, head)


def test_classes_of_a_larger_data_set_are_picked_by_their_numbers() -> None:
    backbone, head = encoder(), TimeSformerHead(3, WIDTH)
    for state in (file_of_authors(), file_of_transformers()):
        read = Checkpoint({f"module.{name}": tensor for name, tensor in state.items()})
        kind = format_of(read, backbone.file_formats, backbone, head)
        load_whole(pick_classes(read, kind, [5, 0, 2]), backbone.file_formats, backbone, head)
        assert torch.equal(head.fc_cls.weight, file_of_authors()["head.weight"][[5, 0, 2]])


def test_pretrained_takes_files_of_the_authors(tmp_path: Path) -> None:
    backbone = encoder(pretrained=write(tmp_path, file_of_authors()))
    backbone.init_weights()
    assert torch.equal(backbone.blocks[1].mlp.layers[1].bias, file_of_authors()["blocks.1.mlp.fc2.bias"])


def test_a_pretraining_file_gives_an_encoder_and_is_said_to_have_no_head(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    backbone, head = encoder(), TimeSformerHead(CLASSES, WIDTH)
    with caplog.at_level(logging.INFO, "kinema"):
        load_whole(write(tmp_path, {"model": pretraining_file()}), backbone.file_formats, backbone, head)
    assert "masked pretraining, VideoMAE" in caplog.text
    assert "the file has no head: the classifier is new" in caplog.text
    assert "decoder.head.weight" in caplog.text
    assert torch.equal(backbone.blocks[0].attn.v_bias, file_of_authors()["blocks.0.attn.v_bias"])
    assert backbone.fc_norm.weight.eq(1).all()


def test_the_encoder_of_transformers_alone_is_read_and_its_classifier_is_not_without_the_norm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = {name: tensor for name, tensor in file_of_transformers().items() if not name.startswith("fc_norm.")}
    bare = {name.removeprefix("videomae."): tensor for name, tensor in whole.items() if "classifier" not in name}
    backbone, head = encoder(), TimeSformerHead(CLASSES, WIDTH)
    with caplog.at_level(logging.INFO, "kinema"):
        load_whole(write(tmp_path, bare), backbone.file_formats, backbone, head)
    assert "the encoder alone; the file has no head: the classifier is new" in caplog.text
    assert torch.equal(backbone.blocks[0].attn.v_bias, file_of_authors()["blocks.0.attn.v_bias"])
    with pytest.raises(CheckpointError, match=r"missing: fc_norm\.weight, fc_norm\.bias"):
        load_whole(write(tmp_path, whole), backbone.file_formats, backbone, head)


def test_a_fine_tuned_file_without_its_last_norm_is_refused(tmp_path: Path) -> None:
    state = file_of_authors()
    del state["fc_norm.weight"]
    with pytest.raises(CheckpointError, match=r"missing: fc_norm\.weight\. Nothing was loaded"):
        load_whole(write(tmp_path, state), VisionTransformer.file_formats, encoder())


def test_a_prefix_is_taken_off_the_front_only(tmp_path: Path) -> None:
    state = {f"module.{name}": tensor for name, tensor in file_of_authors().items()}
    state["blocks.0.module.mlp.fc1.bias"] = state.pop("module.blocks.0.mlp.fc1.bias")
    with pytest.raises(CheckpointError, match=r"unexpected: blocks\.0\.module\.mlp\.fc1\.bias"):
        load_whole(write(tmp_path, state), VisionTransformer.file_formats, encoder())


def test_files_with_and_without_stretched_positions_are_read(tmp_path: Path) -> None:
    long = dict(num_frames=8, tubelet_size=1, pos_grid=(4, 2, 2))
    stretched = resize_positions(sinusoid_table(16, WIDTH), (4, 2, 2), (8, 2, 2))
    state = file_of_authors(tubelet=1)
    for content in (state, state | {"pos_embed": stretched.clone()}):
        backbone = encoder(**long)
        load_whole(write(tmp_path, content), backbone.file_formats, backbone)
        assert torch.equal(backbone.pos_embed, stretched)
    # It is not the table that so many tokens have by themselves,
    assert (sinusoid_table(32, WIDTH) - stretched).abs().max() > 1
    # and positions of another number of tokens are refused.
    with pytest.raises(CheckpointError, match=r"pos_embed \(1x32x24 there, 1x16x24 here\)\. .* set pos_grid="):
        load_whole(write(tmp_path, content), VisionTransformer.file_formats, encoder(num_frames=4, tubelet_size=1))


def test_positions_that_are_trained_must_be_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="missing: pos_embed"):
        load_whole(
            write(tmp_path, file_of_authors()), VisionTransformer.file_formats, encoder(use_learnable_pos_emb=True)
        )


def test_a_stretched_table_has_the_tokens_that_it_is_made_of() -> None:
    same = encoder(pos_grid=(2, 2, 2)).pos_embed
    assert torch.equal(same, encoder().pos_embed)
    assert not encoder(img_size=64, pos_grid=(2, 2, 2)).pos_embed.equal(encoder(img_size=64).pos_embed)


def test_positions_that_are_trained_are_stretched_from_those_of_the_file() -> None:
    backbone = encoder(num_frames=8, img_size=48, use_learnable_pos_emb=True, pos_grid=(2, 2, 2))
    table = torch.randn(1, 8, WIDTH)
    load_whole(Checkpoint({**file_of_authors(), "pos_embed": table}), backbone.file_formats, backbone)
    assert torch.equal(backbone.positions(), resize_positions(table, (2, 2, 2), (4, 3, 3)))
    backbone(torch.randn(1, 3, 8, 48, 48)).sum().backward()
    assert backbone.pos_embed.grad.shape == table.shape


def test_clips_need_not_be_square() -> None:
    wide = encoder(img_size=(32, 48))
    assert wide(torch.randn(1, 3, 4, 32, 48)).shape == (1, WIDTH)
    with pytest.raises(ConfigError, match=r"built for 4 frames of 32 x 48 pixels .* have 4 of 48 x 32"):
        wide(torch.randn(1, 3, 4, 48, 32))


def test_a_map_of_features_may_be_of_larger_clips() -> None:
    settings = {"return_feat_map": True, "use_learnable_pos_emb": True}
    small, large = encoder(**settings), encoder(img_size=(48, 64), pos_grid=(2, 2, 2), **settings)
    nn.init.normal_(small.pos_embed)
    large.load_state_dict(small.state_dict())
    clips = torch.randn(1, 3, 4, 48, 64)
    assert torch.equal(small.eval()(clips), large.eval()(clips))
    with pytest.raises(ConfigError, match=r"built for 4 frames of 32 x 32 pixels .* have 4 of 40 x 64"):
        small(clips[..., :40, :])


def test_cosine_attention_is_softmax_over_angles() -> None:
    torch.manual_seed(0)
    layer = CosineAttention(12, 3)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    with torch.no_grad():
        layer.scale[0] = 9  # more than 100 times the cosine is never taken
    x = torch.randn(2, 5, 12)
    query, key, value = (x @ layer.qkv.weight.T).chunk(3, -1)
    result = []
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        q, k, v = (query + layer.q_bias)[..., part], key[..., part], (value + layer.v_bias)[..., part]
        cosines = (q @ k.mT) / (q.norm(dim=-1)[..., None] * k.norm(dim=-1)[:, None])
        factor = min(layer.scale[head].exp().item(), 100)
        result.append((cosines * factor).softmax(-1) @ v)
    assert torch.allclose(layer(x), layer.proj(torch.cat(result, -1)), atol=1e-5)


def test_cosine_attention_is_off_unless_asked_for() -> None:
    assert type(encoder().blocks[0].attn) is SelfAttention
    assert encoder(cos_attn=True).blocks[0].attn.scale.shape == (2, 1, 1)
    with pytest.raises(CheckpointError, match=r"missing: blocks\.0\.attn\.scale"):
        load_whole_of(file_of_authors(), encoder(cos_attn=True))


def load_whole_of(state: dict[str, Tensor], backbone: VisionTransformer) -> None:
    load_whole(Checkpoint(state), backbone.file_formats, backbone)


def test_keys_have_no_bias_and_norms_the_authors_epsilon() -> None:
    backbone = encoder()
    names = dict(backbone.blocks[0].attn.named_parameters())
    assert sorted(names) == ["proj.bias", "proj.weight", "q_bias", "qkv.weight", "v_bias"]
    norms = [module for module in backbone.modules() if isinstance(module, nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {1e-6}
    other = encoder(pool_norm_cfg=dict(type="LN", eps=1e-5))
    assert (other.fc_norm.eps, other.blocks[0].norm1.eps) == (1e-5, 1e-6)


def test_tokens_are_averaged_before_the_norm() -> None:
    torch.manual_seed(0)
    backbone = encoder()
    for parameter in backbone.parameters():
        nn.init.normal_(parameter, std=0.2)
    clips = torch.randn(2, 3, 4, 32, 32)
    kept: list[Tensor] = []
    backbone.norm.register_forward_hook(lambda module, args, result: kept.append(result))
    features = backbone(clips)
    assert torch.allclose(features, backbone.fc_norm(kept[0].mean(1)), atol=1e-6)
    assert not torch.allclose(features, backbone.fc_norm(kept[0]).mean(1), atol=1e-2)


def test_the_giant_has_whole_hidden_channels() -> None:
    giant = encoder(patch_size=14, img_size=28, embed_dims=176, num_heads=2, depth=1, mlp_ratio=48 / 11)
    assert giant.blocks[0].mlp.layers[0][0].out_features == 768


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (dict(cos_attn=True, qk_scale=0.1), r"cos_attn trains the scale of its products: leave out qk_scale=0\.1"),
        (dict(pos_grid=(2, 2)), r"pos_grid must be \(frames, rows, columns\) of tokens, got \(2, 2\)"),
        (dict(pos_grid=(2, 0, 2)), r"pos_grid must be \(frames, rows, columns\) of tokens, got \(2, 0, 2\)"),
        (dict(img_size=(32, 40)), "patch_size=16 does not divide img_size=40"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        encoder(**settings)
