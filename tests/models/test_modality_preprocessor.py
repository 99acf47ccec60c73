import pytest
import torch

from kinema.errors import ConfigError
from kinema.models import ActionDataPreprocessor, MultiModalDataPreprocessor
from kinema.structures import ActionDataSample


def test_each_modality_has_its_preprocessor() -> None:
    preprocessor = MultiModalDataPreprocessor(
        {
            "imgs": {"type": "ActionDataPreprocessor", "mean": [1], "std": [2], "format_shape": "NCTHW"},
            "heatmap_imgs": ActionDataPreprocessor(),
        }
    )
    samples = [ActionDataSample().set_gt_label(1)]
    frames, heatmaps = torch.full((1, 3, 2, 4, 4), 7, dtype=torch.uint8), torch.rand(1, 17, 2, 4, 4)
    batch = {"inputs": {"imgs": [frames], "heatmap_imgs": [heatmaps]}, "data_samples": samples, "name": "a"}
    result = preprocessor(batch)
    assert torch.equal(result["inputs"]["imgs"], torch.full((1, 1, 3, 2, 4, 4), 3.0))
    assert torch.equal(result["inputs"]["heatmap_imgs"], heatmaps[None])
    assert (result["data_samples"][0].gt_label.item(), result["name"]) == (1, "a")
    assert batch["inputs"]["imgs"][0] is frames
    del batch["data_samples"]
    assert set(preprocessor(batch)) == {"inputs", "name"}


def test_a_modality_without_preprocessor_is_named() -> None:
    with pytest.raises(ConfigError, match="MultiModalDataPreprocessor needs preprocessors by modality"):
        MultiModalDataPreprocessor({})
    preprocessor = MultiModalDataPreprocessor({"imgs": ActionDataPreprocessor()})
    with pytest.raises(ConfigError, match="has no preprocessor for 'audios', only for imgs"):
        preprocessor({"inputs": {"audios": [torch.rand(1, 3, 4)]}})
