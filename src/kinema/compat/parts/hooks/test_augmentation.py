"""`PrepareTTAHook` for runners that are not Kinema's."""

from typing import Any

from kinema import hooks
from kinema.models.wrappers import is_model_wrapper
from kinema.registry import MODELS
from kinema.training.run import Run


class PrepareTTAHook(hooks.PrepareTTAHook):
    """Kinema's `PrepareTTAHook`; another runner keeps the model that it tests with."""

    def before_test(self, runner: Any) -> None:
        if isinstance(runner, Run):
            super().before_test(runner)
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        device = next((parameter.device for parameter in model.parameters()), None)
        runner.model = MODELS.build(self.tta_cfg, default_args={"module": model}).to(device)

    def after_test(self, runner: Any) -> None:
        if isinstance(runner, Run):
            super().after_test(runner)
