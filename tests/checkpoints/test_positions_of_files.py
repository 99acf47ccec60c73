"""Tables of positions in files for clips of another size are fitted where that is wanted, by each network's rule."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from kinema.checkpoints import Checkpoint, load_checkpoint
from kinema.checkpoints.file_formats import load_whole
from kinema.checkpoints.positions import fit_positions
from kinema.errors import CheckpointError
from kinema.models import Hiera, InternVideo2, TimeSformer, VideoPrism, VisionTransformer, ViViT
from kinema.models.backbones.tokens.frame_transformer import FrameTransformer
from kinema.models.layers.positions import PositionTable, resize_positions

SMALL = dict(embed_dims=16, num_heads=2)


def internvideo2(frames: int, size: int, **more: object) -> InternVideo2:
    numbers = dict(patch_size=8, depth=1, pool_heads=2, out_channels=16)
    return InternVideo2(img_size=size, num_frames=frames, **numbers, **SMALL, **more)


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "TimeSformer": lambda frames, size, **more: TimeSformer(
        frames, size, 8, num_transformer_layers=1, **{**SMALL, **more}
    ),
    "VisionTransformer": lambda frames, size, **more: VisionTransformer(
        **{"img_size": size, "patch_size": 8, "num_frames": frames, "depth": 1, **SMALL, **more},
        use_learnable_pos_emb=True,
    ),
    "InternVideo2": lambda frames, size, **more: internvideo2(frames, size, **more),
    "InternVideo2 apart": lambda frames, size, **more: internvideo2(frames, size, sep_pos_embed=True, **more),
    "ViViT": lambda frames, size, **more: ViViT(
        size, frames, **{"tubelet_size": (2, 8, 8), "depth": 1, **SMALL, **more}
    ),
    "VideoPrism": lambda frames, size, **more: VideoPrism(
        frames, size, **{"patch_size": 8, "num_spatial_layers": 1, "num_temporal_layers": 1, **SMALL, **more}
    ),
    "FrameTransformer": lambda _, size, **more: FrameTransformer(size, 8, **{"depth": 1, **SMALL, **more}),
    "Hiera": lambda frames, size, **more: Hiera(size * 4, frames, **{"embed_dims": 8, "stages": (1, 1, 1, 1), **more}),
}


def filled(network: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return network


@pytest.mark.parametrize("change", ["space", "time"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_file_for_clips_of_another_size_is_fitted_where_that_is_wanted(name: str, change: str) -> None:
    source = filled(NETWORKS[name](4, 16))
    frames, size = (4, 32) if change == "space" else (8, 16)
    wanted = NETWORKS[name](frames, size, interpolate_positions=True)
    report = load_checkpoint(wanted, _checkpoint(source))
    assert report.is_complete, report
    state = wanted.state_dict()
    for table_name, table in source.position_tables().items():
        rule = wanted.position_tables()[table_name]
        given = source.state_dict()[table_name]
        expected = resize_positions(
            given,
            table.grid,
            rule.grid,
            space=rule.space,
            time=rule.time,
            antialias=rule.antialias,
            num_first=rule.num_first,
        )
        assert torch.equal(state[table_name], expected)
        assert state[table_name][:, : rule.num_first].equal(given[:, : rule.num_first])
    if (name, change) != ("FrameTransformer", "time"):
        refused = load_checkpoint(NETWORKS[name](frames, size, interpolate_positions=False), _checkpoint(source))
        assert refused.mismatched
        assert "set interpolate_positions=True in backbone" in str(refused)


def _checkpoint(network: nn.Module) -> Checkpoint:
    return Checkpoint({name: tensor.clone() for name, tensor in network.state_dict().items()})


def test_files_of_other_publishers_are_fitted_too(tmp_path: Path) -> None:
    source = filled(NETWORKS["VideoPrism"](4, 16))
    save_file(
        {f"vision_model.{name}": one.clone() for name, one in source.state_dict().items()}, tmp_path / "a.safetensors"
    )
    network = NETWORKS["VideoPrism"](4, 32)
    load_whole(tmp_path / "a.safetensors", network.file_formats, network)
    expected = resize_positions(
        source.spatial_embeddings.position_embeddings, (2, 2), (4, 4), space="linear", antialias=True
    )
    assert torch.equal(network.spatial_embeddings.position_embeddings, expected)
    refusing = NETWORKS["VideoPrism"](4, 32, interpolate_positions=False)
    with pytest.raises(CheckpointError, match=r"1x16x16 here\)\. .* set interpolate_positions=True"):
        load_whole(tmp_path / "a.safetensors", network.file_formats, refusing)


@pytest.mark.parametrize(
    ("grid", "rows", "expected"),
    [
        ((4, 3, 3), 4 * 25, (4, 5, 5)),  # as many frames
        ((4, 3, 3), 2 * 9, (2, 3, 3)),  # as many places
        ((4, 2, 3), 8 * 6, (8, 2, 3)),
        ((4, 3, 3), 7, None),
        ((3, 3), 16, (4, 4)),
        ((3, 3), 15, None),
        ((4,), 9, (9,)),
        ((4,), 0, None),
    ],
)
def test_the_grid_of_a_table_follows_from_its_rows(grid: tuple, rows: int, expected: tuple | None) -> None:
    table = torch.randn(1, 1 + rows, 2)
    fitted = PositionTable(grid, num_first=1).fitted(table)
    assert (fitted is None) == (expected is None)
    if expected is not None:
        assert torch.equal(fitted, resize_positions(table, expected, grid, num_first=1))


def test_what_is_no_table_stays() -> None:
    network = NETWORKS["VideoPrism"](4, 32)
    weights: dict[str, Tensor] = {"spatial_embeddings.position_embeddings": torch.zeros(()), "other": torch.zeros(3)}
    assert fit_positions(network, weights, network.state_dict()) == (weights, "")
