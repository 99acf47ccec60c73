"""Test-time augmentation: a model around a model, which predicts several versions of each sample and merges them."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from kinema.models.base import BaseModel, Mode
from kinema.registry import MODELS


class BaseTTAModel(BaseModel):
    """Predicts with another model what `TestTimeAug` gives, and merges the predictions of each sample.

    Args:
        module: the model that predicts, which may be wrapped for several processes; or its config.
        data_preprocessor: not needed, since the model has its own.

    Raises:
        TypeError: `module` is no model that has `test_step`, nor its config.
    """

    def __init__(self, module: nn.Module | Mapping[str, Any], data_preprocessor: Any = None) -> None:
        super().__init__(data_preprocessor)
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        self.module: Any = MODELS.build(module) if isinstance(module, Mapping) else module
        if not isinstance(self.module, nn.Module) or not callable(getattr(self.module, "test_step", None)):
            raise TypeError(f"{type(self).__name__} needs a model with test_step, or its config, got {module!r}")

    @abstractmethod
    def merge_preds(self, data_samples_list: list[Sequence[Any]]) -> list[Any]:
        """One prediction a sample.

        Args:
            data_samples_list: for each sample the predictions of its versions.
        """

    @torch.no_grad()
    def test_step(self, data: Mapping[str, Sequence[Any]] | Sequence[Sequence[Any]]) -> list[Any]:
        """Merged predictions for one batch of the loader.

        Args:
            data: by key (or place) a list with the batch of each version.
        """
        if isinstance(data, Mapping):
            count = len(next(iter(data.values())))
            versions: list[Any] = [{key: values[place] for key, values in data.items()} for place in range(count)]
        else:
            versions = [[values[place] for values in data] for place in range(len(data[0]))]
        predictions = [self.module.test_step(version) for version in versions]
        return self.merge_preds(list(zip(*predictions, strict=True)))

    def forward(self, inputs: Any, data_samples: Any = None, mode: Mode = "tensor") -> Any:
        """Not for a model that only tests.

        Raises:
            NotImplementedError: always; call `test_step`.
        """
        raise NotImplementedError(f"{type(self).__name__} tests only: call test_step with what TestTimeAug gives")


@MODELS.register_module()
class MeanScoreTTA(BaseTTAModel):
    """The mean of the scores of all versions of a sample.

    Args:
        module: see `BaseTTAModel`, as `data_preprocessor`.
        data_preprocessor: see there.
    """

    def merge_preds(self, data_samples_list: list[Sequence[Any]]) -> list[Any]:
        return [self._merged(versions) for versions in data_samples_list]

    def _merged(self, versions: Sequence[Any]) -> Any:
        merged = versions[0]
        scores = torch.stack([version.pred_score for version in versions]).mean(dim=0)
        return merged.set_pred_score(scores).set_pred_label(scores.argmax(dim=-1, keepdim=True))
