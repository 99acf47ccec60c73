"""Explanations of networks over tokens: each place of a map is the place of the frames that it is about."""

import numpy as np
import pytest
import torch
from torch import nn

from kinema.errors import ConfigError
from kinema.models import Recognizer2D, Recognizer3D
from kinema.registry import MODELS
from kinema.report.explanation import GradCam
from kinema.report.explanation.gradcam import token_maps_of

FRAMES, SIZE = 4, 32
CLIP = {"num_frames": FRAMES, "img_size": SIZE}
SMALL = {"embed_dims": 24, "depth": 3, "num_heads": 2, "patch_size": 8}
NETWORKS = {
    **{
        f"TimeSformer {kind}": {
            **{"type": "TimeSformer", **CLIP, "patch_size": 8, "embed_dims": 24, "num_heads": 2},
            **{"num_transformer_layers": 3, "attention_type": kind},
        }
        for kind in ("divided_space_time", "joint_space_time", "space_only")
    },
    "VideoMAE": {"type": "VisionTransformer", **CLIP, **SMALL},
    "VideoMAE of a first token": {"type": "VisionTransformer", **CLIP, **SMALL, "use_mean_pooling": False},
    "UniFormerV2": {
        **{"type": "UniFormerV2", "input_resolution": SIZE, "patch_size": 8, "width": 24, "layers": 3, "heads": 2},
        **{"t_size": FRAMES, "return_list": [1, 2], "n_layers": 2, "n_dim": 24, "n_head": 2, "mlp_dropout": [0.0, 0.0]},
    },
    "MViT": {
        **{"type": "MViT", "spatial_size": SIZE, "temporal_size": FRAMES, "out_scales": [1]},
        "arch": {"embed_dims": 16, "num_layers": 3, "num_heads": 1, "downscale_indices": [1]},
    },
    "Hiera": {
        **{"type": "Hiera", "img_size": SIZE, "num_frames": FRAMES, "embed_dims": 16, "num_heads": 1},
        **{"stages": (1, 1, 1), "q_pool": 1, "mask_unit_size": (1, 4, 4), "mask_unit_attn": (True, False, False)},
    },
    "InternVideo2": {"type": "InternVideo2", **CLIP, **SMALL, "embed_dims": 32, "out_channels": 24, "pool_heads": 2},
    "ViViT": {"type": "ViViT", **CLIP, "tubelet_size": (2, 8, 8), "embed_dims": 24, "depth": 3, "num_heads": 2},
    "VJEPA2": {"type": "VJEPA2", "patch_size": 8, "embed_dims": 48, "depth": 3, "num_heads": 2},
    "VideoPrism": {
        **{"type": "VideoPrism", **CLIP, "patch_size": 8, "embed_dims": 24, "num_heads": 2},
        **{"num_spatial_layers": 2, "num_temporal_layers": 1},
    },
    "SwinTransformer3D": {
        **{"type": "SwinTransformer3D", "window_size": (2, 2, 2), "out_indices": (1,)},
        "arch": {"embed_dims": 12, "depths": [2, 2], "num_heads": [2, 2]},
    },
    "UniFormer": {"type": "UniFormer", "depth": [1, 1, 1, 1], "embed_dim": [16, 16, 32, 32], "head_dim": 16},
}
HEADS = {
    "MViT": {"type": "MViTHead"},
    "SwinTransformer3D": {"type": "I3DHead"},
    "UniFormer": {"type": "I3DHead"},
    "VJEPA2": {"type": "AttentiveHead"},
    "VideoPrism": {"type": "VideoPrismHead", "num_heads": 2},
}
OF_FIRST_TOKEN = {name for name in NETWORKS if name.startswith(("TimeSformer", "ViViT", "MViT"))}


def built(name: str) -> Recognizer3D:
    """A recognizer of three classes whose weights are drawn."""
    torch.manual_seed(0)
    backbone = MODELS.build(NETWORKS[name])
    channels = backbone.out_channels if isinstance(backbone.out_channels, int) else backbone.out_channels[-1]
    head = HEADS.get(name, {"type": "TimeSformerHead"}) | {"num_classes": 3, "in_channels": channels}
    model = Recognizer3D(backbone, head)
    for parameter in model.parameters():
        if parameter.dim() > 1 and not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return model.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_map_has_the_shape_of_the_frames_and_is_the_same_again(name: str) -> None:
    model = built(name)
    clips = torch.randn(1, 2, 3, FRAMES, SIZE, SIZE)
    modes = [module.training for module in model.modules()]
    first = GradCam(model).explain(clips, 1)
    assert first.maps.shape == (2, FRAMES, SIZE, SIZE)
    assert first.maps.max() == 1
    assert first.maps.min() >= 0
    again = GradCam(model, first.layer).explain(clips, 1)
    np.testing.assert_array_equal(first.maps, again.maps)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    if name in OF_FIRST_TOKEN:  # behind the last block only the first token counts
        assert first.layer.endswith(".0:input")


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("SwinTransformer3D", "UniFormer")])
def test_tokens_are_laid_out_where_the_frames_change(name: str) -> None:
    model = built(name)
    tokens = token_maps_of(model)
    blocks = model.backbone.get_submodule(tokens.blocks) if tokens.blocks else [model.backbone]
    # The first block, which mixes the least; of one with pooling its last, of a whole network itself.
    block = blocks[0] if name != "Hiera" else blocks[-1]
    seen: list[torch.Tensor] = []
    handle = block.register_forward_hook(lambda _module, _args, output: seen.append(tokens.lay_out(output)))
    clips = torch.randn(2, 3, FRAMES, SIZE, SIZE)[:1].repeat(2, 1, 1, 1, 1)
    # In frames 2 and 3, rows 8 to 15 and columns 16 to 23.
    clips[1, :, 2:, 8:16, 16:24] += 20
    with torch.no_grad():
        for clip in clips:
            model.backbone(clip[None])
    handle.remove()
    before, after = (maps.movedim(1, -1) for maps in seen)  # (R, T', H', W', C)
    change = (after - before).square().sum(-1).flatten(0, 1)  # (T', H', W')
    frame, row, column = np.unravel_index(int(change.argmax()), change.shape)
    times, rows, columns = change.shape
    assert frame >= times // 2
    assert 8 <= (row + 0.5) * SIZE / rows < 16 or (rows == 2 and row == 0)
    assert 16 <= (column + 0.5) * SIZE / columns < 24 or (columns == 2 and column == 1)


def test_with_an_average_and_a_linear_classifier_the_map_is_the_score_of_each_token() -> None:
    model = built("VideoMAE")
    model.backbone.fc_norm = nn.Identity()
    clips = torch.randn(1, 1, 3, FRAMES, SIZE, SIZE)
    seen: list[torch.Tensor] = []
    handle = model.backbone.blocks[-1].register_forward_hook(lambda _module, _args, output: seen.append(output))
    saliency = GradCam(model).explain(clips, 2)
    handle.remove()
    scores = seen[0] @ model.cls_head.fc_cls.weight[2]
    own = scores.detach().reshape(2, 4, 4).clamp(min=0).numpy()  # tubelets of 2 frames and 8 x 8 pixels
    assert saliency.layer == "backbone.blocks.2"
    # The middle of a tubelet lies between pixels: the largest of the map is near the largest token.
    frame, row, column = np.unravel_index(saliency.maps[0].argmax(), saliency.maps[0].shape)
    assert np.unravel_index(own.argmax(), own.shape) == (frame // 2, row // 8, column // 8)
    assert saliency.score == pytest.approx(scores.mean().item() + model.cls_head.fc_cls.bias[2].item(), abs=1e-5)


def test_image_encoders_are_explained_frame_by_frame() -> None:
    torch.manual_seed(0)
    backbone = {"type": "FrameTransformer", "img_size": SIZE, "patch_size": 8, "embed_dims": 24, "depth": 3}
    head = {"type": "TSNHead", "num_classes": 3, "in_channels": 24, "init_std": 1.0}
    model = Recognizer2D({**backbone, "num_heads": 2}, head).eval()
    model.init_weights()
    saliency = GradCam(model.eval()).explain(torch.randn(1, FRAMES, 3, SIZE, SIZE), 1)
    assert saliency.maps.shape == (1, FRAMES, SIZE, SIZE)
    assert saliency.maps.max() == 1


def shown(count: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Noise with a patch of 8 x 8 pixels in two frames, whose colour is the class; and where: (time, row, column)."""
    clips = 0.3 * torch.randn(count, 3, FRAMES, SIZE, SIZE)
    labels = torch.randint(3, (count,))
    places = np.stack([np.random.randint(0, size, count) for size in (2, 4, 4)], 1)
    for clip, label, (time, row, column) in zip(clips, labels, places, strict=True):
        clip[label, 2 * time : 2 * time + 2, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 3
    return clips, labels, places


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["VideoMAE", "TimeSformer divided_space_time", "TimeSformer space_only", "InternVideo2"]
)
def test_a_trained_network_points_at_the_place_and_the_time_that_show_the_class(name: str) -> None:
    np.random.seed(0)
    model = built(name)
    model.init_weights()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(250):
        clips, labels, _ = shown(32)
        loss = nn.functional.cross_entropy(model.cls_head(model.backbone(clips)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    clips, labels, places = shown(30)
    with torch.no_grad():
        right = (model.cls_head(model.backbone(clips)).argmax(1) == labels).float().mean()
    assert right > 0.9
    hits = []
    for clip, label, (time, row, column) in zip(clips, labels, places, strict=True):
        maps = GradCam(model).explain(clip[None, None], int(label)).maps[0]
        frame, y, x = np.unravel_index(maps.argmax(), maps.shape)
        hits.append((frame // 2, y // 8, x // 8) == (time, row, column))
    assert np.mean(hits) > 0.7  # by chance 1 of 32


def test_what_enters_a_block_is_explained_of_blocks_over_tokens_only() -> None:
    model = built("VideoMAE")
    clips = torch.randn(1, 1, 3, FRAMES, SIZE, SIZE)
    assert GradCam(model, "backbone.blocks.1:input").explain(clips, 0).layer == "backbone.blocks.1:input"
    with pytest.raises(ConfigError, match="'cls_head:input': only of a block over tokens what enters it"):
        GradCam(model, "cls_head:input").explain(clips, 0)
