import pytest
import torch

from kinema.errors import SampleError
from kinema.evaluation import ReconstructionError
from kinema.structures import ActionDataSample


def test_the_error_is_the_mean_over_the_samples() -> None:
    samples = [ActionDataSample(), ActionDataSample()]
    for sample, error in zip(samples, (0.5, 1.0), strict=True):
        sample.set_field(torch.tensor(error), "reconstruction_error")
    metric = ReconstructionError()
    metric.process(None, [sample.to_dict() for sample in samples])
    assert metric.names() == ["reconstruction/error"]
    assert metric.evaluate(2) == {"reconstruction/error": 0.75}


def test_samples_of_another_model_are_refused() -> None:
    with pytest.raises(SampleError, match="reads reconstruction_error of the samples, .*there is none"):
        ReconstructionError().process(None, [{"pred_score": torch.ones(2)}])
