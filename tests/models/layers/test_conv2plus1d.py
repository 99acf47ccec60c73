import pytest
import torch

from kinema.models.layers import Conv2plus1d


def test_a_split_convolution_has_about_the_parameters_of_a_whole_one() -> None:
    split = Conv2plus1d(16, 32, 3, padding=1, bias=False)
    weights = split.conv_s.weight.numel() + split.conv_t.weight.numel()
    assert weights <= 16 * 32 * 27 < weights * 1.02


def test_strides_padding_and_dilation_go_to_space_and_time() -> None:
    split = Conv2plus1d(4, 4, (3, 5, 5), stride=(2, 1, 1), padding=(1, 2, 4), dilation=(1, 1, 2)).eval()
    assert split(torch.zeros(1, 4, 6, 9, 9)).shape == (1, 4, 3, 9, 9)
    assert split.conv_s.bias is not None


def test_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="Conv2plus1d has no groups, got groups=4"):
        Conv2plus1d(4, 4, 3, groups=4)
