"""Image transformers over single frames, and their files."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.checkpoints.file_formats import load_whole
from kinema.errors import CheckpointError, ConfigError
from kinema.models import FrameTransformer, Recognizer2D, TSNHead
from kinema.models.backbones.tokens.frame_transformer import clip_vision, siglip_vision
from kinema.models.backbones.tokens.frame_transformer_files import names_of_clip, names_of_siglip, names_of_timm
from kinema.models.layers.activations import QuickGELU

SMALL = {"img_size": 32, "patch_size": 16, "embed_dims": 24, "depth": 2, "num_heads": 2}
FRAMES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def filled(network: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.eval()


@pytest.mark.parametrize(
    ("settings", "channels"),
    [
        ({}, 24),
        ({"pooling": "attention", "class_token": False}, 24),
        ({"pooling": "mean", "norm_after_pooling": True, "num_registers": 2, "token_positions": False}, 24),
        ({"pre_norm": True, "projection": 5, "layer_scale": 0.1}, 5),
    ],
)
def test_a_frame_gives_one_vector_and_all_weights_are_trained(settings: dict, channels: int) -> None:
    network = FrameTransformer(**{**SMALL, **settings})
    network.init_weights()
    assert network.out_channels == channels
    filled(network).train()(FRAMES).square().sum().backward()
    unused = [] if settings.get("pooling") != "mean" else ["cls_token"]
    assert network.eval()(FRAMES).shape == (2, channels, 1, 1)
    assert [name for name, weight in network.named_parameters() if not weight.grad.any()] in ([], unused)


def test_in_a_recognizer_the_frames_of_a_clip_are_averaged() -> None:
    backbone = filled(clip_vision(**SMALL))
    model = Recognizer2D(backbone, TSNHead(4, 24, average_clips="score")).eval()
    features = backbone(FRAMES).flatten(1).mean(0)
    torch.testing.assert_close(model(FRAMES[None], mode="predict")[0].pred_score, model.cls_head.fc_cls(features))


def test_clip_and_siglip_have_their_own_activations_and_epsilons() -> None:
    clip, siglip = clip_vision(**SMALL), siglip_vision(**SMALL)
    assert isinstance(clip.blocks[0].mlp.act, QuickGELU)
    assert siglip.blocks[0].mlp.act.approximate == siglip.attn_pool.mlp.act.approximate == "tanh"
    assert (clip.norm.eps, siglip.norm.eps, siglip.attn_pool.norm.eps) == (1e-5, 1e-6, 1e-6)
    x = torch.linspace(-3, 3, 7)
    torch.testing.assert_close(clip.blocks[0].mlp.act(x), x * torch.sigmoid(1.702 * x))


@pytest.mark.parametrize("build", [clip_vision, siglip_vision])
def test_frames_need_not_have_three_channels(build: Callable[..., FrameTransformer]) -> None:
    assert build(**SMALL, in_channels=1)(FRAMES[:, :1]).shape == (2, 24, 1, 1)


@pytest.mark.parametrize(
    ("build", "views", "prefix"),
    [
        (clip_vision, names_of_clip, "vision_model."),
        (siglip_vision, names_of_siglip, ""),
        (siglip_vision, names_of_timm, ""),
    ],
)
def test_files_of_timm_and_transformers_are_read_in_full(
    tmp_path: Path, build: Callable[..., FrameTransformer], views: Callable[[nn.Module], dict[str, Tensor]], prefix: str
) -> None:
    source = filled(build(**SMALL))
    weights = {f"{prefix}{name}": tensor.clone() for name, tensor in views(source).items()}
    weights |= {"text_model.x": torch.zeros(1), "logit_scale": torch.zeros(1)} if prefix else {}
    torch.save(weights, tmp_path / "vision.pt")
    network = build(**SMALL, pretrained=str(tmp_path / "vision.pt"))
    network.init_weights()
    assert torch.equal(network.eval()(FRAMES), source(FRAMES))
    weights.pop(next(name for name in weights if "norm1.weight" in name))
    torch.save(weights, tmp_path / "vision.pt")
    with pytest.raises(CheckpointError, match=r"missing: .*norm1\.weight\. Nothing was loaded"):
        load_whole(tmp_path / "vision.pt", network.file_formats, network)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_heads": 5}, "FrameTransformer: num_heads=5 does not divide embed_dims=24"),
        ({"pooling": "max"}, "pooling must be one of token, mean, attention, got 'max'"),
        ({"class_token": False}, "pooling='token' needs class_token=True"),
        ({"pos_grid": (2, 0)}, r"pos_grid must be \(rows, columns\) of patches, got \(2, 0\)"),
        ({"patch_size": 64}, "patch_size=64 must be from 1 to img_size=32"),
    ],
)
def test_what_does_not_fit_together_is_said_in_one_line(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FrameTransformer(**{**SMALL, **settings})


def test_frames_of_another_size_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"frames of 32 x 32 pixels \(img_size\), but they have 48 x 32: set crops, or img_size"
    ):
        FrameTransformer(**SMALL)(torch.zeros(1, 3, 48, 32))


@pytest.mark.parametrize("token_positions", [True, False])
def test_positions_of_frames_of_another_size_are_stretched_by_cubics(token_positions: bool) -> None:
    settings = {**SMALL, "token_positions": token_positions}
    small = filled(FrameTransformer(**settings))
    large = FrameTransformer(**{**settings, "img_size": 48}, pos_grid=(2, 2)).eval()
    large.load_state_dict(small.state_dict())
    first = 1 if token_positions else 0
    table = small.pos_embed[:, first:].detach().unflatten(1, (2, 2)).permute(0, 3, 1, 2)
    stretched = F.interpolate(table, (3, 3), mode="bicubic", align_corners=False).flatten(2).transpose(1, 2)
    native = FrameTransformer(**{**settings, "img_size": 48}).eval()
    native.load_state_dict({**small.state_dict(), "pos_embed": torch.cat([small.pos_embed[:, :first], stretched], 1)})
    frames = torch.randn(2, 3, 48, 48)
    torch.testing.assert_close(large(frames), native(frames), rtol=1e-4, atol=1e-5)
