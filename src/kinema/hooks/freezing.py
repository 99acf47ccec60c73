"""Parts of a model that are not trained, for some epochs or at all."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from kinema.errors import ConfigError
from kinema.hooks.hook import Hook
from kinema.registry import HOOKS
from kinema.training.run import Run


@HOOKS.register_module()
class FreezeHook(Hook):
    """Keep modules as they are: their parameters, and the running statistics of their norms.

    Args:
        modules: patterns of their names, such as "backbone" or "backbone.layer[12]"; `*` stands for
            any letters. What is inside them is frozen, too.
        until_epoch: epochs after which they are trained. Until then their gradients are computed
            for nothing, since the optimizer and other processes are ready for them; None: never,
            and none are computed.

    Raises:
        ConfigError: a pattern fits no module, or `until_epoch` is below 1.
    """

    priority = "HIGH"

    def __init__(self, modules: Sequence[str] | str, until_epoch: int | None = None) -> None:
        if until_epoch is not None and until_epoch < 1:
            raise ConfigError(f"FreezeHook: until_epoch must be at least 1, got {until_epoch}")
        self.patterns = [modules] if isinstance(modules, str) else list(modules)
        self.until_epoch = until_epoch
        self._modules: list[nn.Module] = []

    def before_optimizer(self, runner: Run) -> None:
        self._modules = [module for pattern in self.patterns for module in _matching(runner.network, pattern)]
        if self.until_epoch is None:
            for module in self._modules:
                module.requires_grad_(False)

    def before_train_epoch(self, runner: Run) -> None:
        if self.until_epoch is None:
            return
        step, is_over = runner.train_step, runner.progress.epoch >= self.until_epoch
        assert step is not None
        frozen = [] if is_over else [p for module in self._modules for p in module.parameters()]
        for wrapper in step.optim_wrapper.wrappers.values():
            wrapper.frozen = frozen
        if is_over and self._modules:
            self._modules = []
            runner.network.train()

    def before_train_iter(self, runner: Run, batch_idx: int, data_batch: object = None) -> None:
        for module in self._modules:
            if module.training:  # as after each validation
                module.eval()


def _matching(model: nn.Module, pattern: str) -> list[nn.Module]:
    modules = [module for name, module in model.named_modules() if name and fnmatchcase(name, pattern)]
    if not modules:
        names = ", ".join(name for name, _ in model.named_children())
        raise ConfigError(f"FreezeHook: {pattern!r} is the name of no module of {type(model).__name__}: it has {names}")
    return modules
