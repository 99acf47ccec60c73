"""A batch of several kinds of input, each with a preprocessor of its own."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from kinema.errors import ConfigError
from kinema.models.preprocessors import BaseDataPreprocessor
from kinema.registry import MODELS


@MODELS.register_module()
class MultiModalDataPreprocessor(BaseDataPreprocessor):
    """Preprocesses batches whose `inputs` are a dict, one entry a modality, for models that take such a dict.

    `PackActionInputs(collect_keys=...)` makes samples for it.

    Args:
        preprocessors: by modality, the key in `inputs`; an `ActionDataPreprocessor`, another module
            with `preprocess`, or a config.

    Raises:
        ConfigError: there are none.
    """

    def __init__(self, preprocessors: Mapping[str, nn.Module | Mapping[str, Any]]) -> None:
        super().__init__()
        if not preprocessors:
            raise ConfigError(
                "MultiModalDataPreprocessor needs preprocessors by modality, e.g. dict(imgs=dict(type=...))"
            )
        self.preprocessors = nn.ModuleDict(
            {
                modality: MODELS.build(part) if isinstance(part, Mapping) else part
                for modality, part in preprocessors.items()
            }
        )

    def forward(self, data: Any, training: bool = False) -> dict[str, Any]:
        """Preprocess a batch.

        Args:
            data: dict with `inputs`, by modality a list of B tensors or one tensor of B samples, and
                maybe `data_samples`.
            training: blend, where a preprocessor does.

        Returns:
            A new dict with `inputs`, by modality one tensor on `device`, and the other entries moved
            there.

        Raises:
            ConfigError: a modality has no preprocessor.
            ValueError: the samples of a modality do not fit its preprocessor.
        """
        data = self.cast_data(data)
        samples = data.get("data_samples")
        inputs = {}
        for modality, values in data["inputs"].items():
            if modality not in self.preprocessors:
                raise ConfigError(
                    f"MultiModalDataPreprocessor has no preprocessor for {modality!r}, only for"
                    f" {', '.join(self.preprocessors)}"
                )
            preprocessor: Any = self.preprocessors[modality]
            inputs[modality], samples = preprocessor.preprocess(values, samples, training)
        return {**data, "inputs": inputs} if samples is None else {**data, "inputs": inputs, "data_samples": samples}
