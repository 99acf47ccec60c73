"""Optimizers of torch and of the libraries that are installed, in the registry under their own names."""

import importlib
import inspect
import logging
from importlib.util import find_spec

from torch.optim import Optimizer

from kinema.registry import OPTIMIZERS

logger = logging.getLogger("kinema")

LIBRARIES = ("bitsandbytes.optim", "dadaptation", "lion_pytorch", "Sophia")


def register_optimizers() -> None:
    """Register torch's optimizers, and those of each of `LIBRARIES` that is installed.

    Torch's own names win. Torch's Adafactor is also "TorchAdafactor", as in OpenMMLab's configs.
    """
    for module in ("torch.optim", *LIBRARIES):
        if find_spec(module.partition(".")[0]) is None:
            continue
        try:
            members = inspect.getmembers(importlib.import_module(module), inspect.isclass)
        except (ImportError, OSError, RuntimeError) as error:  # a library that lacks its own, CUDA's say
            logger.warning("the optimizers of %s are left out: %s", module, error)
            continue
        for name, kind in members:
            if issubclass(kind, Optimizer) and kind is not Optimizer and name not in OPTIMIZERS:
                OPTIMIZERS.register_module(name=name, module=kind)
                if (module, name) == ("torch.optim", "Adafactor"):
                    OPTIMIZERS.register_module(name="TorchAdafactor", module=kind)
