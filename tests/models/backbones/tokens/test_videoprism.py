"""VideoPrism: its norms, positions, classifiers, and what files of its weights may hold."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from kinema.checkpoints.file_formats import load_whole
from kinema.checkpoints.reading import read_checkpoint
from kinema.errors import CheckpointError, ConfigError
from kinema.models import Recognizer3D, VideoPrism, VideoPrismHead, zoo
from kinema.models.backbones.tokens.videoprism_files import FORMATS, from_flax
from kinema.models.layers.offset_norm import OffsetLayerNorm
from kinema.models.layers.query_pooling import QueryPooling
from kinema.registry import MODELS

SMALL = dict(patch_size=8, embed_dims=16, num_spatial_layers=2, num_temporal_layers=1, num_heads=2)
CLIPS = torch.randn(2, 3, 4, 16, 24, generator=torch.Generator().manual_seed(0))


def small(**settings: object) -> VideoPrism:
    torch.manual_seed(0)
    model = VideoPrism(**{"num_frames": 4, "img_size": (16, 24), **SMALL, **settings})
    model.init_weights()
    return model


def test_a_clip_gives_a_map_of_tokens_and_all_weights_are_trained() -> None:
    model = small(num_auxiliary_layers=1, drop_path_rate=0.1)
    assert model.eval()(CLIPS).shape == (2, 16, 4, 2, 3)
    assert model.out_channels == 16
    model(CLIPS).square().mean().backward()
    untrained = [name for name, parameter in model.named_parameters() if not parameter.grad.any()]
    assert untrained == [name for name in untrained if name.endswith("k_proj.bias")]


def test_frames_see_each_other_at_their_place_only() -> None:
    model = small().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    changed = CLIPS.clone()
    changed[:, :, 1, :8, :8] += 1  # one patch of one frame
    spatial = (model.spatial(changed) != model.spatial(CLIPS)).any(-1).unflatten(0, (2, 4)).any(2)
    assert spatial.tolist() == [[False, True, False, False]] * 2
    assert (model(changed) != model(CLIPS)).any(1).all()  # through the frame, then through time


def test_a_norm_of_weight_zero_leaves_the_normalised_values() -> None:
    norm = OffsetLayerNorm(6, eps=1e-3)
    x = torch.randn(4, 6)
    assert torch.equal(norm(x), F.layer_norm(x, (6,), eps=1e-3))
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    torch.testing.assert_close(norm(x), F.layer_norm(x, (6,), eps=1e-3) * (1 + norm.weight) + norm.bias)
    assert repr(norm) == "OffsetLayerNorm(6, eps=0.001)"


def test_a_query_pools_as_its_definition_says() -> None:
    torch.manual_seed(0)
    pool = QueryPooling(8, 2, inner_channels=12)
    torch.nn.init.normal_(pool.per_dim_scale)
    x = torch.randn(3, 5, 8)
    scale = 1.442695041 / 6**0.5 * (1 + pool.per_dim_scale.exp()).log()
    query = pool.q_proj(pool.pooling_attention_query[0, 0]).unflatten(0, (2, 6)) * scale
    key, value = pool.k_proj(x).unflatten(2, (2, 6)), pool.v_proj(x).unflatten(2, (2, 6))
    weights = torch.einsum("hd,bnhd->bhn", query, key).softmax(-1)
    expected = pool.o_proj(torch.einsum("bhn,bnhd->bhd", weights, value).flatten(1))
    torch.testing.assert_close(pool(x), expected)
    with pytest.raises(ConfigError, match="pooling by a query: num_heads=3 does not divide"):
        QueryPooling(8, 3)


def test_a_pooling_query_may_have_no_biases() -> None:
    names = VideoPrismHead(3, 8, num_heads=2, qkv_bias=False).state_dict()
    assert {name for name in names if name.endswith("proj.bias")} == {"head.o_proj.bias"}


def test_layers_computed_again_give_the_same_gradients() -> None:
    plain, again = small(), small(with_cp=True)
    for model in (plain, again):
        model(CLIPS).square().sum().backward()
    for (name, one), (_, other) in zip(plain.named_parameters(), again.named_parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, msg=name)


def test_frozen_stages_are_patches_and_layers() -> None:
    model = small(frozen_stages=2)
    frozen = {name.rsplit(".", 2)[0] for name, one in model.named_parameters() if not one.requires_grad}
    assert all(name.startswith(("spatial_embeddings", "spatial_layers", "layernorm1")) for name in frozen)
    assert all(parameter.requires_grad for parameter in model.temporal_layers.parameters())
    assert not any(parameter.requires_grad for parameter in small(frozen_stages=3).parameters())


def test_positions_are_fitted_to_clips_of_another_size_where_that_is_wanted() -> None:
    assert small()(CLIPS[:, :, :3, :8]).shape == (2, 16, 3, 1, 3)
    with pytest.raises(
        ConfigError,
        match=r"built for 4 frames of 16 x 24 pixels \(num_frames, img_size\), but the clips have 3 of 8 x 24: .*"
        "interpolate_positions=True",
    ):
        small(interpolate_positions=False)(CLIPS[:, :, :3, :8])


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"img_size": (20, 24)}, "patch_size=8 does not divide the 20 pixels of height"),
        ({"img_size": (16, 4)}, "patch_size=8 does not divide the 4 pixels of width"),
        ({"num_frames": 3, "tubelet_size": 2}, "tubelet_size=2 does not divide the 3 frames"),
        ({"num_heads": 3}, "num_heads=3 does not divide embed_dims=16"),
        ({"logit_cap": 0.0}, "logit_cap must be above 0, got 0.0"),
    ],
)
def test_sizes_that_do_not_fit_are_an_error(settings: dict, problem: str) -> None:
    with pytest.raises(ConfigError, match=f"VideoPrism: .*{problem}"):
        small(**settings)


def test_clips_that_are_no_whole_patches_are_an_error() -> None:
    with pytest.raises(ConfigError, match="clips of 4 frames of 16 x 20 pixels: patch_size=8 does not divide the 20"):
        small()(CLIPS[..., :20])


def test_values_that_are_normalised_otherwise_are_an_error() -> None:
    def recognizer(**normalize: object) -> Recognizer3D:
        preprocessor = {"type": "ActionDataPreprocessor", "format_shape": "NCTHW", **normalize}
        return Recognizer3D(small(), VideoPrismHead(2, 16, num_heads=2), data_preprocessor=preprocessor)

    recognizer()
    recognizer(mean=[0, 0, 0], std=[255, 255, 255])
    with pytest.raises(ConfigError, match=r"VideoPrism takes values from 0 to 1, .* set mean=\[0, 0, 0\], std=\[255"):
        recognizer(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])


def test_published_sizes_have_the_published_numbers_of_parameters() -> None:
    with torch.device("meta"):
        base, large = (MODELS.build(zoo.model_config(f"videoprism_{size}")["backbone"]) for size in ("base", "large"))
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in (base, large)]
    assert counts == [114_365_184, 353_965_056]


# ---- files


def flax_file(folder: Path, model: VideoPrism, head: VideoPrismHead | None = None, prefix: str = "params/") -> Path:
    """A file of Google's with the weights of a network: layers stacked, linear layers (in, out), heads apart."""
    own = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    arrays = {
        "patch_projection/linear/kernel": own["spatial_embeddings.patch_embeddings.projection.weight"][:, :, 0]
        .transpose(2, 3, 1, 0)
        .reshape(-1, 16),
        "patch_projection/linear/bias": own["spatial_embeddings.patch_embeddings.projection.bias"],
    }
    for kind, number in (("spatial", 1), ("temporal", 2)):
        arrays[f"{kind}_pos_emb/emb_var"] = own[f"{kind}_embeddings.position_embeddings"][0]
        arrays[f"{kind}_ln/scale"], arrays[f"{kind}_ln/bias"] = (
            own[f"layernorm{number}.{end}"] for end in ("weight", "bias")
        )

        def stacked(name: str, kind: str = kind) -> np.ndarray:
            return np.stack([own[f"{kind}_layers.{i}.{name}"] for i in range(len(getattr(model, f"{kind}_layers")))])

        stack = f"{kind}_encoder/transformers_stack/x_layers"
        for flax, name in (("layer_norm", "layernorm_before"), ("ff_layer/layer_norm", "layernorm_after")):
            arrays[f"{stack}/{flax}/scale"] = stacked(f"{name}.weight")
            arrays[f"{stack}/{flax}/bias"] = stacked(f"{name}.bias")
        for number in (1, 2):
            linear = f"{stack}/ff_layer/ffn_layer{number}/linear"
            arrays[f"{linear}/kernel"] = stacked(f"mlp.fc{number}.weight").transpose(0, 2, 1)
            arrays[f"{linear}/bias"] = stacked(f"mlp.fc{number}.bias")
        for flax, letter in (("query", "q"), ("key", "k"), ("value", "v")):
            weight = stacked(f"attention.{letter}_proj.weight")
            arrays[f"{stack}/self_attention/{flax}/w"] = weight.transpose(0, 2, 1).reshape(-1, 16, 2, 8)
            arrays[f"{stack}/self_attention/{flax}/b"] = stacked(f"attention.{letter}_proj.bias").reshape(-1, 2, 8)
        arrays[f"{stack}/self_attention/post/w"] = stacked("attention.o_proj.weight").reshape(-1, 16, 2, 8)
        arrays[f"{stack}/self_attention/post/b"] = stacked("attention.o_proj.bias")
    np.savez(folder / "weights.npz", **{prefix + name: array for name, array in arrays.items()})
    return folder / "weights.npz"


@pytest.mark.parametrize("prefix", ["", "params/", "params/vision_encoder/"])
def test_a_file_of_google_is_read_in_full(tmp_path: Path, prefix: str) -> None:
    source = small()
    for parameter in source.parameters():
        torch.nn.init.normal_(parameter)
    file = flax_file(tmp_path, source.requires_grad_(False), prefix=prefix)
    model = small(pretrained=str(file))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, source.state_dict()[name]), name
    with pytest.raises(CheckpointError, match=r"read as VideoPrism of Google: missing: spatial_layers\.2\."):
        small(num_spatial_layers=3, pretrained=str(file))


def test_arrays_of_other_axes_are_refused(tmp_path: Path) -> None:
    file = flax_file(tmp_path, small().requires_grad_(False))
    arrays = dict(np.load(file))
    arrays["params/spatial_pos_emb/emb_var"] = np.zeros((), np.float32)
    arrays["params/patch_projection/linear/kernel"] = np.zeros((5, 16), np.float32)
    arrays["params/other"] = np.zeros(1, np.float32)
    np.savez(file, **arrays)
    with pytest.raises(CheckpointError, match=r"unexpected: other; of another shape: spatial_embeddings.*\(5x16 there"):
        small(pretrained=str(file))


def with_prefix(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor.clone() for name, tensor in state.items()}


def test_a_classifier_of_transformers_is_read_in_full(tmp_path: Path) -> None:
    source, head = small(), VideoPrismHead(5, 16, num_heads=2, inner_channels=64)
    for parameter in (*source.parameters(), *head.parameters()):
        torch.nn.init.normal_(parameter)
    state = with_prefix("vision_model.", source.state_dict()) | head.state_dict()
    save_file(state, tmp_path / "model.safetensors")
    model, own = small(), VideoPrismHead(5, 16, num_heads=2, inner_channels=64)
    assert load_whole(tmp_path / "model.safetensors", FORMATS, model, own).is_complete
    with torch.no_grad():
        assert torch.equal(own(model(CLIPS)), head(source(CLIPS)))
    with pytest.raises(CheckpointError, match=r"of another shape: head\.o_proj\.weight \(16x64 there, 16x16 here\)"):
        load_whole(tmp_path / "model.safetensors", FORMATS, model, VideoPrismHead(5, 16, num_heads=2))


def test_the_encoder_of_videos_and_texts_is_read_without_its_texts(tmp_path: Path) -> None:
    source, head = small(num_auxiliary_layers=1), VideoPrismHead(5, 16, num_heads=2, inner_channels=64)
    pool = {name: tensor for name, tensor in head.state_dict().items() if not name.startswith("classifier")}
    state = with_prefix("video_model.", {**with_prefix("vision_model.", source.state_dict()), **pool})
    aux = [name for name in state if "auxiliary" in name]
    state |= {name.replace("vision_model.", ""): state.pop(name) for name in aux}
    save_file(state | {"text_model.embedding": torch.zeros(3)}, tmp_path / "model.safetensors")
    read = read_checkpoint(tmp_path / "model.safetensors")
    own = VideoPrismHead(7, 16, num_heads=2, inner_channels=64)
    load_whole(read, FORMATS, small(num_auxiliary_layers=1), own)
    assert torch.equal(own.head.q_proj.weight, head.head.q_proj.weight)
    with pytest.raises(CheckpointError, match=r"unexpected: auxiliary_layers\.0\."):
        load_whole(read, FORMATS, small())


def test_names_of_flax_below_a_stack_have_its_layers() -> None:
    arrays = {"encoder/auxiliary_encoder/transformers_stack/x_layers/layer_norm/scale": torch.ones(2, 3)}
    assert list(from_flax(arrays, {})) == [f"auxiliary_layers.{layer}.layernorm_before.weight" for layer in range(2)]
