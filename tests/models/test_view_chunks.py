"""Views go through the backbone in as large pieces as memory allows."""

import pytest
import torch
from torch import Tensor, nn

from kinema.models import MViT, Recognizer3D
from kinema.models.view_chunks import in_chunks, joined, rows_at_once

ROWS = torch.arange(10.0)[:, None].expand(10, 1000).contiguous()


class Bounded(nn.Module):
    """Runs out of memory with more than so many rows."""

    def __init__(self, most: int, error: type[RuntimeError] = torch.OutOfMemoryError) -> None:
        super().__init__()
        self.most, self.error = most, error
        self.sizes: list[int] = []

    def forward(self, rows: Tensor) -> Tensor:
        self.sizes.append(len(rows))
        if len(rows) > self.most:
            raise self.error("DefaultCPUAllocator: can't allocate memory")
        return 2 * rows


@torch.no_grad()
@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_pieces_are_halved_where_memory_runs_out(error: type[RuntimeError]) -> None:
    backbone = Bounded(3, error)
    torch.testing.assert_close(in_chunks(backbone, ROWS), 2 * ROWS)
    assert backbone.sizes == [10, 5, 2, 2, 2, 2, 2]


@torch.no_grad()
def test_rows_that_belong_together_stay_so() -> None:
    backbone = Bounded(5)
    torch.testing.assert_close(in_chunks(backbone, ROWS[:9], multiple=3), 2 * ROWS[:9])
    assert backbone.sizes == [9, 3, 3, 3]


@torch.no_grad()
def test_too_little_memory_for_a_view_and_other_errors_reach_the_caller() -> None:
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        in_chunks(Bounded(0), ROWS)
    layer = nn.Linear(3, 3)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        in_chunks(layer, ROWS)


@torch.no_grad()
def test_the_first_view_shows_how_many_fit_where_all_might_not() -> None:
    pytest.importorskip("resource")
    backbone = Bounded(10)
    torch.testing.assert_close(in_chunks(backbone, ROWS, free_bytes=10_000), 2 * ROWS)
    assert backbone.sizes[0] == 1
    assert sum(backbone.sizes) == 10
    backbone.sizes.clear()
    in_chunks(backbone, ROWS, free_bytes=1 << 40)
    in_chunks(backbone, ROWS, 4, free_bytes=1 << 40)
    assert backbone.sizes == [10, 4, 4, 2]


def test_gradients_are_of_one_piece() -> None:
    backbone = Bounded(10)
    in_chunks(backbone, ROWS, free_bytes=10_000)
    assert backbone.sizes == [10]


def test_rows_at_once_use_half_of_the_free_memory() -> None:
    assert rows_at_once(100, 1000, 30, 1) == 5
    assert rows_at_once(100, 1000, 30, 8) == 30
    assert rows_at_once(100, 500, 30, 8) == 16
    assert rows_at_once(100, 10, 30, 8) == 8
    assert rows_at_once(0, 1000, 30, 1) == 30


def test_features_of_several_scales_are_joined() -> None:
    parts = [([torch.ones(2, 3), torch.ones(2)],), ([torch.zeros(1, 3), torch.zeros(1)],)]
    (scale,) = joined(parts)
    assert isinstance(scale, list)
    assert scale[0].shape == (3, 3)
    assert scale[1].tolist() == [1, 1, 0]


def test_views_of_mvit_in_pieces_give_the_same_scores() -> None:
    torch.manual_seed(0)
    arch = {"embed_dims": 8, "num_layers": 2, "num_heads": 1, "downscale_indices": [1]}
    backbone = MViT(arch, 32, 4)
    head = dict(type="MViTHead", num_classes=3, in_channels=16)
    clips = torch.randn(1, 3, 3, 4, 32, 32)
    whole = Recognizer3D(backbone, head).eval()
    pieces = Recognizer3D(backbone, whole.cls_head, test_cfg={"max_testing_views": 2}).eval()
    with torch.no_grad():
        expected, actual = (model(clips, mode="predict")[0].pred_score for model in (whole, pieces))
    torch.testing.assert_close(actual, expected)
