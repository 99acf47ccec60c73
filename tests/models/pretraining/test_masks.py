import pytest
import torch

from kinema.errors import ConfigError
from kinema.models.pretraining.masks import places_of, running_cell_mask, tube_mask


def test_a_tube_hides_the_same_patches_in_all_frames() -> None:
    mask = tube_mask(3, (4, 5, 6), 0.9).view(3, 4, 5, 6)
    assert (mask == mask[:, :1]).all()
    assert mask[:, 0].flatten(1).sum(1).tolist() == [27, 27, 27]


def test_each_clip_has_a_mask_of_its_own_which_a_generator_repeats() -> None:
    first, second = (tube_mask(2, (1, 14, 14), 0.75, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_every_patch_is_hidden_as_often() -> None:
    torch.manual_seed(0)
    shares = tube_mask(4000, (1, 4, 4), 0.75).float().mean(0)
    assert (shares - 0.75).abs().max() < 0.03


@pytest.mark.parametrize(("ratio", "hidden"), [(0.0, 0), (0.2, 0), (1.0, 4), (1.5, 6), (-1.0, 0)])
def test_a_tube_must_hide_some_patches_and_leave_some(ratio: float, hidden: int) -> None:
    with pytest.raises(
        ConfigError, match=rf"mask_ratio={ratio:g} hides {hidden} of the 4 patches of a frame \(2 x 2\)"
    ):
        tube_mask(1, (2, 2, 2), ratio)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_a_running_cell_leaves_out_the_same_share_of_every_cell(ratio: float) -> None:
    mask = running_cell_mask(5, (3, 4, 6), ratio).view(5, 3, 2, 2, 3, 2)
    assert (mask.sum((3, 5)) == 4 * ratio).all()


def test_a_running_cell_moves_on_by_a_patch_from_frame_to_frame() -> None:
    mask = running_cell_mask(8, (8, 2, 2), 0.5).view(8, 8, 4)
    for clip in mask:
        for frame in range(7):
            assert clip[frame].roll(-1).tolist() == clip[frame + 1].tolist()
    assert len({tuple(clip[0].tolist()) for clip in mask}) > 1
    assert (mask.sum(1) == 4).all(), "over time, every patch is left out as often"


def test_odd_grids_work_where_the_frames_even_them_out() -> None:
    assert running_cell_mask(6, (4, 7, 5), 0.5).sum(1).tolist() == [70] * 6


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0, -0.5])
def test_a_running_cell_leaves_out_whole_patches(ratio: float) -> None:
    with pytest.raises(ConfigError, match=r"decoder_mask_ratio must be 0\.25, 0\.5 or 0\.75, .* got"):
        running_cell_mask(1, (4, 4, 4), ratio)


def test_a_grid_that_cells_do_not_fill_evenly_is_refused() -> None:
    with pytest.raises(ConfigError, match="there are 7 x 7 patches and 2 frames of tokens: take even rows"):
        running_cell_mask(1, (2, 7, 7), 0.5)


def test_places_are_those_that_a_mask_keeps_then_those_that_it_leaves_out() -> None:
    kept, left_out = places_of(torch.tensor([[True, False, True, False], [False, False, True, True]]))
    assert kept.tolist() == [[1, 3], [0, 1]]
    assert left_out.tolist() == [[0, 2], [2, 3]]
