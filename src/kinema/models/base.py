"""The bases of all models: a module that knows how to initialise itself, and a model that trains, validates and tests.

Both are plain `nn.Module`s: a training loop written by hand over them needs nothing else of Kinema.
"""

import copy
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from kinema.models.init import InitCfg, initialize, is_pretrained
from kinema.models.init_report import InitReport, active_report
from kinema.models.preprocessors import BaseDataPreprocessor
from kinema.registry import MODELS

logger = logging.getLogger("kinema")

Mode = Literal["tensor", "loss", "predict"]
LogVars = dict[str, Tensor]


class ParameterUpdater(Protocol):
    """What `BaseModel.train_step` needs of an optimizer wrapper."""

    def optim_context(self, model: nn.Module) -> AbstractContextManager[Any]:
        """Around the forward pass: precision, gradient synchronisation."""
        ...

    def update_params(self, loss: Tensor) -> None:
        """Backward pass and optimizer step."""
        ...


class BaseModule(nn.Module):
    """A module whose `init_cfg` says how its weights are initialised.

    Args:
        init_cfg: one dict or a list of them, see `kinema.models.init`; None leaves the values that
            the layers drew when they were made.
    """

    def __init__(self, init_cfg: InitCfg | None = None) -> None:
        super().__init__()
        self._set_init_cfg(init_cfg)

    def _set_init_cfg(self, init_cfg: InitCfg | None) -> None:
        self.init_cfg = copy.deepcopy(init_cfg)
        self._is_init = False

    @property
    def is_init(self) -> bool:
        """True once `init_weights` has run."""
        return self._is_init

    @is_init.setter
    def is_init(self, value: bool) -> None:
        self._is_init = value

    def init_weights(self) -> None:
        """Initialise by the own `init_cfg`, then every submodule that has `init_weights`, then load pretrained weights.

        The outermost call logs, at level INFO, one record a parameter that says what initialised
        it. A second call changes nothing.
        """
        if self.is_init:
            logger.warning(
                "init_weights of %s has been called more than once; nothing was changed", type(self).__name__
            )
            return
        outer = active_report.get()
        if outer is not None:
            self._init_weights(outer)
            return
        report = InitReport(self)
        token = active_report.set(report)
        try:
            self._init_weights(report)
        finally:
            active_report.reset(token)
        report.log()

    def _init_weights(self, report: InitReport) -> None:
        cfgs: list[Any] = [self.init_cfg] if isinstance(self.init_cfg, Mapping) else list(self.init_cfg or [])
        # Pretrained weights come last: the submodules' own initialisation must not overwrite them.
        pretrained = [cfg for cfg in cfgs if isinstance(cfg, Mapping) and is_pretrained(cfg)]
        initialize(self, [cfg for cfg in cfgs if cfg not in pretrained])
        _init_children(self, report)
        initialize(self, pretrained)
        self.is_init = True

    def __repr__(self) -> str:
        text = super().__repr__()
        return f"{text}\ninit_cfg={self.init_cfg}" if self.init_cfg else text


def _init_children(module: nn.Module, report: InitReport) -> None:
    """Call `init_weights` of the nearest descendants that have it and did not run it yet."""
    for child in module.children():
        init_weights = getattr(child, "init_weights", None)
        if init_weights is None:
            _init_children(child, report)
        elif not getattr(child, "is_init", False):
            init_weights()
            if getattr(getattr(type(child), "init_weights", None), "__qualname__", "") not in _BY_CONFIG:
                report.credit(child, f"Initialized by user-defined `init_weights` in {type(child).__name__}")


_BY_CONFIG = ("BaseModule.init_weights", "Backbone.init_weights")


class Sequential(BaseModule, nn.Sequential):
    """`nn.Sequential` with `init_cfg`."""

    def __init__(self, *args: Any, init_cfg: InitCfg | None = None) -> None:
        nn.Sequential.__init__(self, *args)
        self._set_init_cfg(init_cfg)


class ModuleList(BaseModule, nn.ModuleList):
    """`nn.ModuleList` with `init_cfg`."""

    def __init__(self, modules: Iterable[nn.Module] | None = None, init_cfg: InitCfg | None = None) -> None:
        nn.ModuleList.__init__(self, modules)
        self._set_init_cfg(init_cfg)


class ModuleDict(BaseModule, nn.ModuleDict):
    """`nn.ModuleDict` with `init_cfg`."""

    def __init__(self, modules: Mapping[str, nn.Module] | None = None, init_cfg: InitCfg | None = None) -> None:
        nn.ModuleDict.__init__(self, modules)
        self._set_init_cfg(init_cfg)


class BaseModel(BaseModule, ABC):
    """A model with its data preprocessor: batch of the loader -> losses or predictions.

    Args:
        data_preprocessor: module that takes `(batch, training)` and returns the arguments of
            `forward`; or its config; None only moves the batch to the model's device.
        init_cfg: see `BaseModule`.
    """

    def __init__(
        self,
        data_preprocessor: nn.Module | Mapping[str, Any] | None = None,
        init_cfg: InitCfg | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if data_preprocessor is None:
            data_preprocessor = BaseDataPreprocessor()
        elif isinstance(data_preprocessor, Mapping):
            data_preprocessor = MODELS.build(data_preprocessor)
        if not isinstance(data_preprocessor, nn.Module):
            raise TypeError(f"data_preprocessor must be a module, a config dict or None, got {data_preprocessor!r}")
        self.data_preprocessor = data_preprocessor

    @abstractmethod
    def forward(self, inputs: Any, data_samples: Any = None, mode: Mode = "tensor") -> Any:
        """Compute on a preprocessed batch.

        Args:
            inputs: what the preprocessor returns under `inputs`.
            data_samples: labels, and where predictions are written.
            mode: `"tensor"` gives features, `"loss"` a dict of losses, `"predict"` the data samples
                with predictions.
        """

    def train_step(self, data: Any, optim_wrapper: ParameterUpdater | None = None) -> LogVars | dict[str, Any]:
        """Compute the losses of one batch and, given `optim_wrapper`, update the parameters.

        Args:
            data: batch as the loader gives it.
            optim_wrapper: has `optim_context(model)` and `update_params(loss)`.

        Returns:
            The values to log, `loss` first; without `optim_wrapper` the losses as `forward`
            returned them.
        """
        if optim_wrapper is None:
            return self._step(data, "loss", training=True)
        with optim_wrapper.optim_context(self):
            losses = self._step(data, "loss", training=True)
        loss, log_vars = self.parse_losses(losses)
        optim_wrapper.update_params(loss)
        return log_vars

    def val_step(self, data: Any) -> Any:
        """Predictions for one batch of the loader."""
        return self._step(data, "predict", training=False)

    def test_step(self, data: Any) -> Any:
        """Predictions for one batch of the loader."""
        return self._step(data, "predict", training=False)

    def _step(self, data: Any, mode: Mode, *, training: bool) -> Any:
        return self._run_forward(self.data_preprocessor(data, training), mode)

    def _run_forward(self, data: Any, mode: Mode) -> Any:
        """`forward` on a preprocessed batch; MMEngine's name for it, which users' own `train_step` calls."""
        if isinstance(data, Mapping):
            return self(**data, mode=mode)
        if isinstance(data, tuple | list):
            return self(*data, mode=mode)
        raise TypeError(f"a preprocessed batch must be a dict, tuple or list, got {type(data).__name__}")

    def parse_losses(self, losses: Mapping[str, Tensor | list[Tensor]]) -> tuple[Tensor, LogVars]:
        """Sum what is a loss.

        Args:
            losses: name -> tensor or list of tensors, of any shape. A tensor counts as its mean, a
                list as the sum of its tensors' means.

        Returns:
            The sum of the entries whose name contains `loss`, and all entries as detached scalars,
            that sum first as `loss`.

        Raises:
            TypeError: a value is neither tensor nor list of tensors.
            ValueError: no name contains `loss`.
        """
        scalars: LogVars = {}
        for name, value in losses.items():
            if isinstance(value, Tensor):
                scalars[name] = value.mean()
            elif isinstance(value, list | tuple) and value and all(isinstance(part, Tensor) for part in value):
                scalars[name] = torch.stack([part.mean() for part in value]).sum()
            else:
                raise TypeError(f"{name!r} of the losses must be a tensor or a list of tensors, got {value!r}")
        parts = [value for name, value in scalars.items() if "loss" in name]
        if not parts:
            names = ", ".join(scalars) or "nothing"
            raise ValueError(f"the losses hold {names}: no name contains 'loss', so there is nothing to minimise")
        loss = torch.stack(parts).sum() if len(parts) > 1 else parts[0]
        return loss, {"loss": loss.detach()} | {
            name: value.detach() for name, value in scalars.items() if name != "loss"
        }
