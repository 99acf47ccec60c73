"""Nonsense in the settings of networks over tokens is one line that names the setting, before anything is built."""

import inspect
from typing import Any

import pytest
import torch

from kinema.errors import ConfigError
from kinema.models.backbones.base import Backbone
from kinema.models.layers.settings import (
    check_given,
    check_positive,
    check_rates,
    check_several,
    check_sizes,
    check_triple,
)
from kinema.registry import MODELS

SMALL: dict[str, dict[str, Any]] = {
    "VisionTransformer": dict(img_size=32, patch_size=8, embed_dims=24, depth=1, num_heads=2, num_frames=4),
    "TimeSformer": dict(num_frames=4, img_size=32, patch_size=8, embed_dims=24, num_heads=2, num_transformer_layers=1),
    "SwinTransformer3D": dict(
        arch=dict(embed_dims=24, depths=[1, 1], num_heads=[2, 4]),
        window_size=(2, 4, 4),
        out_indices=(1,),
        pretrained2d=False,
    ),
    "MViT": dict(
        arch=dict(embed_dims=24, num_layers=2, num_heads=1, downscale_indices=[1]), spatial_size=32, temporal_size=4
    ),
    "UniFormer": dict(depth=(1, 1, 1, 1), embed_dim=(16, 32, 64, 64), img_size=32, head_dim=32),
    "UniFormerV2": dict(
        **dict(input_resolution=32, patch_size=8, width=24, layers=2, heads=2, t_size=4, return_list=[1]),
        **dict(n_layers=1, n_dim=24, n_head=2, mlp_dropout=[0.5], clip_pretrained=False),
    ),
    "ViViT": dict(img_size=32, num_frames=4, tubelet_size=(2, 8, 8), embed_dims=24, depth=1, num_heads=2),
    "Hiera": dict(img_size=64, num_frames=4, embed_dims=8, stages=(1, 1, 1, 1)),
    "InternVideo2": dict(embed_dims=32, depth=1, num_heads=2, img_size=28, num_frames=2, out_channels=16, pool_heads=2),
    "VJEPA2": dict(embed_dims=48, depth=1, num_heads=2, patch_size=8),
    "VideoPrism": dict(
        **dict(num_frames=4, img_size=32, patch_size=8, embed_dims=24, num_heads=2, mlp_channels=48),
        **dict(num_spatial_layers=1, num_temporal_layers=1),
    ),
    "FrameTransformer": dict(img_size=32, patch_size=8, embed_dims=24, depth=1, num_heads=2),
}
MAY_BE_ZERO = {"frozen_stages", "num_auxiliary_layers", "num_registers", "q_pool", "out_scales", "init_values"}
RATIOS = {"mlp_ratio", "mlp_factor", "dw_reduction", "norm_eps", "dim_mul", "head_mul", "logit_cap", "layer_scale"}


def nonsense_for(name: str, value: Any, annotation: str) -> list[Any]:
    """What a setting cannot be, by its name and what it is otherwise."""
    zero = [] if name in MAY_BE_ZERO else [0]
    if "dropout" in name or ("rate" in name and not isinstance(value, list)):
        return [[-0.1], [1.0]] if isinstance(value, list) else [-0.1, 1.0, 1.5, "much"]
    if name in RATIOS or name == "init_values":
        return [*zero, -1.0, "much"]
    if isinstance(value, bool) or annotation.startswith("<class 'bool"):
        return []
    if isinstance(value, int):
        if name == "out_scales":  # stages count from the last, too
            return [2.5, "many"]
        return [*zero, -2, 2.5, "many", (value,) * 3, *([] if "None" in annotation else [None])]
    if value is None and "int" in annotation and "Sequence" not in annotation:
        return [*zero, -2, 2.5]
    if isinstance(value, str):
        return ["nonsense"]
    return []


@pytest.mark.parametrize("network", SMALL)
def test_nonsense_is_refused_by_its_name(network: str) -> None:
    kind: Any = MODELS.get(network)
    with torch.device("meta"):  # a network of 2 layers takes longer to build than 100 refusals
        assert isinstance(MODELS.build({"type": network, **SMALL[network]}), Backbone)
        tried = 0
        for name, parameter in inspect.signature(kind).parameters.items():
            if name in ("pretrained", "init_cfg", "arch", "branch"):
                continue
            value = SMALL[network].get(name, parameter.default)
            for wrong in nonsense_for(name, value, str(parameter.annotation)):
                with pytest.raises(ConfigError, match=rf"\b{name}\b.* got "):
                    MODELS.build({"type": network, **SMALL[network], name: wrong})
                tried += 1
    assert tried > 10


@pytest.mark.parametrize(
    ("network", "settings", "message"),
    [
        ("VisionTransformer", dict(num_frames=5), "tubelet_size=2 does not divide num_frames=5"),
        ("VisionTransformer", dict(img_size=36), "patch_size=8 does not divide img_size=36"),
        ("VisionTransformer", dict(num_heads=5), "num_heads=5 does not divide embed_dims=24"),
        ("TimeSformer", dict(img_size=36), "patch_size=8 does not divide img_size=36"),
        ("TimeSformer", dict(num_heads=5), "num_heads=5 does not divide embed_dims=24"),
        (
            "TimeSformer",
            dict(attention_type="joint"),
            "attention_type must be one of divided_space_time, .*got 'joint'",
        ),
        ("SwinTransformer3D", dict(window_size=(8, 7)), r"window_size must be three numbers \(frames, rows, columns\)"),
        (
            "SwinTransformer3D",
            dict(window_size=(8, 7, 0)),
            r"window_size must be whole numbers from 1, got \(8, 7, 0\)",
        ),
        ("SwinTransformer3D", dict(patch_size=(2, 4, 1.5)), r"patch_size must be whole numbers from 1"),
        ("SwinTransformer3D", dict(arch="giant"), "giant"),
        ("SwinTransformer3D", dict(out_indices=(2,)), r"out_indices must be stages from 0 to 1, got \(2,\)"),
        ("MViT", dict(arch="giant"), "arch must be one of .*got 'giant'"),
        ("MViT", dict(pool_kernel=(3, 3)), "pool_kernel must be three numbers"),
        ("MViT", dict(adaptive_kv_stride=(1, 0, 1)), "adaptive_kv_stride must be whole numbers from 1"),
        ("MViT", dict(interpolate_mode="cubic"), "interpolate_mode must be one of trilinear, .*got 'cubic'"),
        ("UniFormer", dict(head_dim=48), r"head_dim=48 does not divide the channels \[64, 64\]"),
        ("UniFormer", dict(depth=(1, 1, 1)), "UniFormer has four stages, got depth=.1, 1, 1."),
        ("UniFormerV2", dict(heads=5), "heads=5 does not divide width=24"),
        ("UniFormerV2", dict(n_head=5), "n_head=5 does not divide n_dim=24"),
        ("UniFormerV2", dict(input_resolution=36), "patch_size=8 does not divide input_resolution=36"),
        ("UniFormerV2", dict(return_list=[4]), "return_list"),
        ("ViViT", dict(num_frames=5), r"tubelet_size=\(2, 8, 8\) does not divide num_frames=5"),
        ("InternVideo2", dict(img_size=30), "patch_size=14 does not divide img_size=30"),
        ("VideoPrism", dict(num_heads=5), "num_heads=5 does not divide embed_dims=24"),
        ("Hiera", dict(patch_padding=(1, 3, -1)), r"patch_padding must be whole numbers from 0, got \(1, 3, -1\)"),
        ("VJEPA2", dict(frozen_stages=-3), "frozen_stages must be a whole number from -1, got -3"),
        ("VJEPA2", dict(frozen_stages=9), "frozen_stages of VJEPA2 must be from -1 to 1, got 9"),
        ("VisionTransformer", dict(img_size=(32,)), r"img_size must be .* two of them \(height, width\), got \(32,\)"),
    ],
)
def test_settings_that_do_not_go_together_say_why(network: str, settings: dict[str, Any], message: str) -> None:
    with torch.device("meta"), pytest.raises(ConfigError, match=message):
        MODELS.build({"type": network, **SMALL[network], **settings})


HEADS: dict[str, dict[str, Any]] = {
    "TimeSformerHead": dict(num_classes=3, in_channels=24),
    "MViTHead": dict(num_classes=3, in_channels=24),
    "UniFormerHead": dict(num_classes=3, in_channels=24),
    "AttentiveHead": dict(num_classes=3, in_channels=48),
    "InternVideo2Head": dict(num_classes=3, in_channels=16),
    "VideoPrismHead": dict(num_classes=3, in_channels=24),
    "MoViNetHead": dict(num_classes=3, in_channels=24),
}


@pytest.mark.parametrize("head", HEADS)
def test_nonsense_of_heads_is_refused_by_its_name(head: str) -> None:
    kind: Any = MODELS.get(head)
    sizes = ("num_classes", "in_channels", "num_heads", "depth", "num_clips", "hidden_channels", "inner_channels")
    parameters = inspect.signature(kind).parameters
    cases = [(name, wrong) for name in sizes if name in parameters for wrong in (0, -2, 2.5, "many")]
    cases += [("dropout_ratio", wrong) for wrong in (-0.1, 1.5, "much") if "dropout_ratio" in parameters]
    cases += [(name, wrong) for name in ("mlp_ratio", "norm_eps") if name in parameters for wrong in (0, -1.0, "much")]
    with torch.device("meta"):
        MODELS.build({"type": head, **HEADS[head]})
        for name, wrong in cases:
            with pytest.raises(ConfigError, match=rf"^{head}: {name} must be .*, got "):
                MODELS.build({"type": head, **HEADS[head], name: wrong})


@pytest.mark.parametrize(
    ("network", "shape", "message"),
    [
        ("VisionTransformer", (1, 3, 8, 32, 32), "built for 4 frames of 32 x 32 pixels .*clips have 8 of 32 x 32"),
        ("VisionTransformer", (1, 3, 4, 40, 32), "built for 4 frames of 32 x 32 pixels .*clips have 4 of 40 x 32"),
        ("TimeSformer", (1, 3, 4, 36, 36), "36"),
        ("TimeSformer", (1, 3, 8, 32, 32), "8"),
        ("UniFormerV2", (1, 3, 4, 40, 40), "40"),
        ("ViViT", (1, 3, 6, 32, 32), "6"),
        ("InternVideo2", (1, 3, 4, 28, 28), "4"),
        ("Hiera", (1, 3, 4, 96, 64), "96"),
        (
            "UniFormer",
            (1, 3, 4, 24, 40),
            "one place of 32 x 32 pixels, but the clips have 24 x 40: crop at least",
        ),
        ("SwinTransformer3D", (1, 3, 0, 32, 32), "clips for SwinTransformer3D are empty: .* 0 frames of 32 x 32"),
        ("VisionTransformer", (1, 1, 4, 32, 32), "1 channels, but VisionTransformer was built with in_channels=3"),
        ("TimeSformer", (1, 4, 3, 32, 32), "frames seem to come before their 3 channels"),
    ],
)
def test_clips_that_a_network_was_not_built_for_are_named(network: str, shape: tuple[int, ...], message: str) -> None:
    model = MODELS.build({"type": network, **SMALL[network]})
    with pytest.raises(ConfigError, match=message):
        model(torch.zeros(shape))


# ---- the checks themselves


def test_sizes_are_whole_numbers() -> None:
    check_sizes("Net", depth=1)
    check_given("Net", width=None)
    check_several("Net", stages=(1, 2))
    wrong: list[Any] = [0, True, "3", (1, 2), None]
    for value in wrong:
        with pytest.raises(ConfigError, match="^Net: depth must be a whole number from 1, got "):
            check_sizes("Net", depth=value)
    for value in [*wrong[:3], (), (1, 0)]:
        with pytest.raises(ConfigError, match="^Net: stages must be whole numbers from 1, got "):
            check_several("Net", stages=value)
    with pytest.raises(ConfigError, match="from -1, got -2"):
        check_sizes("Net", lowest=-1, frozen_stages=-2)


def test_rates_leave_something() -> None:
    check_rates("Net", drop_rate=0.0, several=[0, 0.5])
    with pytest.raises(ConfigError, match=r"^Net: drop_rate must be from 0 to below 1, got 1"):
        check_rates("Net", drop_rate=1)
    with pytest.raises(ConfigError, match=r"^Net: drop_rate must be from 0 to below 1, got nan"):
        check_rates("Net", drop_rate=float("nan"))


def test_ratios_are_above_zero() -> None:
    check_positive("Net", mlp_ratio=0.5, scale=None)
    with pytest.raises(ConfigError, match=r"^Net: mlp_ratio must be above 0, got 0\.0"):
        check_positive("Net", mlp_ratio=0.0)


def test_triples_have_three_numbers() -> None:
    check_triple("Net", lowest=0, padding=(0, 1, 1))
    with pytest.raises(ConfigError, match=r"^Net: window must be three numbers \(frames, rows, columns\), got 7"):
        check_triple("Net", window=7)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^Net: window must be whole numbers from 1, got \(8, 0, 7\)"):
        check_triple("Net", window=(8, 0, 7))


def test_windows_larger_than_a_map_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    model = MODELS.build({"type": "SwinTransformer3D", **SMALL["SwinTransformer3D"], "window_size": (8, 4, 4)})
    with caplog.at_level("WARNING", "kinema"):
        model(torch.zeros(1, 3, 2, 32, 32))  # maps of 8 x 8 and 4 x 4, shorter than the windows as usual
        assert not caplog.records
        model(torch.zeros(1, 3, 2, 32, 24))
        model(torch.zeros(1, 3, 2, 32, 24))
    assert [record.message for record in caplog.records] == [
        "windows of 4 x 4 tokens (window_size) are larger than the map of 4 x 3 that stage 1 makes of frames of 32 x 24"
        " pixels, so tokens get positions of other distances: set larger crops or smaller windows"
    ]
