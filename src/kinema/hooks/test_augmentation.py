"""Test-time augmentation in a run: `tta_model` and `tta_pipeline` of a config."""

import copy
from collections.abc import Mapping
from typing import Any

from kinema.errors import ConfigError
from kinema.hooks.hook import Hook
from kinema.registry import HOOKS, MODELS
from kinema.training.run import Run

KEYS = ("tta_model", "tta_pipeline")


@HOOKS.register_module()
class PrepareTTAHook(Hook):
    """Tests with a model around the run's model, see `kinema.models.tta`.

    Args:
        tta_cfg: config of that model, without its `module`.
    """

    def __init__(self, tta_cfg: Mapping[str, Any]) -> None:
        self.tta_cfg = tta_cfg

    def before_test(self, runner: Run) -> None:
        self._plain = runner.network
        runner.network = MODELS.build(self.tta_cfg, default_args={"module": runner.network}).to(runner.device)

    def after_test(self, runner: Run) -> None:
        runner.network = self._plain


def with_test_augmentation(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config whose test goes through its `tta_pipeline` and its `tta_model`.

    Raises:
        ConfigError: it lacks one of the two, or a `test_dataloader` with one dataset.
    """
    missing = [key for key in KEYS if not config.get(key)]
    dataset = (config.get("test_dataloader") or {}).get("dataset")
    if missing or not isinstance(dataset, Mapping) or "pipeline" not in dataset:
        lacks = " and ".join(missing) or "test_dataloader.dataset.pipeline"
        raise ConfigError(f"test-time augmentation needs {', '.join(KEYS)} and a test_dataloader: there is no {lacks}")
    changed = copy.deepcopy(dict(config))
    changed["test_dataloader"]["dataset"]["pipeline"] = config["tta_pipeline"]
    hook = {"type": "PrepareTTAHook", "tta_cfg": config["tta_model"]}
    changed["custom_hooks"] = [*(config.get("custom_hooks") or ()), hook]
    return changed
