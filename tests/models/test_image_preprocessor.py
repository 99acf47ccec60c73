import pytest
import torch

from kinema.models import ImgDataPreprocessor


def test_images_are_reordered_normalised_and_padded() -> None:
    processor = ImgDataPreprocessor([1, 2, 3], [2, 2, 2], pad_size_divisor=4, pad_value=9, bgr_to_rgb=True)
    image = torch.arange(27, dtype=torch.uint8).view(3, 3, 3)
    batch = processor({"inputs": [image, image[:, :2]]})
    assert batch["inputs"].shape == (2, 3, 4, 4)
    assert batch["data_samples"] is None
    assert torch.equal(batch["inputs"][0, 0, :3, :3], (image[2].float() - 1) / 2)
    assert (batch["inputs"][1, :, 2:] == 9).all()
    assert torch.equal(processor({"inputs": image[None]})["inputs"][0], batch["inputs"][0])
    assert not processor.state_dict()


def test_images_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="mean and std come together"):
        ImgDataPreprocessor(mean=[1])
    with pytest.raises(ValueError, match="mean has 1 or 3 values"):
        ImgDataPreprocessor(mean=[1, 2], std=[1, 2])
    with pytest.raises(ValueError, match="are the same step"):
        ImgDataPreprocessor(bgr_to_rgb=True, rgb_to_bgr=True)
    processor = ImgDataPreprocessor([1, 2, 3], [1, 1, 1])
    grey = torch.rand(1, 4, 4)
    with pytest.raises(ValueError, match="mean has 3 values, but an image 1 channels"):
        processor({"inputs": [grey]})
    with pytest.raises(ValueError, match=r"an image is \(C, H, W\), got \(4, 4\)"):
        processor({"inputs": [grey[0]]})
    with pytest.raises(ValueError, match=r"a tensor of images is \(B, C, H, W\)"):
        processor({"inputs": grey})
    with pytest.raises(TypeError, match="inputs are a list of images or one tensor, got str"):
        processor({"inputs": "x"})
    with pytest.raises(ValueError, match="the order of channels is that of 3, but an image has 1"):
        ImgDataPreprocessor(rgb_to_bgr=True)({"inputs": [grey]})
