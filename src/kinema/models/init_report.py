"""Which initialiser gave each parameter its value: the report that `BaseModule.init_weights` logs."""

import logging
from contextvars import ContextVar

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

logger = logging.getLogger("kinema")

Fingerprint = tuple[float, float] | None


class InitReport:
    """Credits each parameter of `module` to whoever changed its values last.

    Values are compared by two numbers a parameter, not by copies: a copy of all weights would
    double the memory of a large model while it is built.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        unchanged = f"The value is the same before and after calling `init_weights` of {type(module).__name__}"
        self._fingerprints = {parameter: _fingerprint(parameter) for parameter in module.parameters()}
        self._texts = dict.fromkeys(self._fingerprints, unchanged)

    def credit(self, module: nn.Module, text: str) -> None:
        """Credit every parameter of `module` whose values changed since the last look to `text`."""
        for parameter in module.parameters():
            now = _fingerprint(parameter)
            if self._fingerprints.get(parameter) != now:
                self._fingerprints[parameter] = now
                self._texts[parameter] = text

    def log(self) -> None:
        """Log one INFO record a parameter."""
        for name, parameter in self._module.named_parameters():
            shape = "lazy" if is_lazy(parameter) else parameter.shape
            text = self._texts.get(parameter, "added by `init_weights`")  # has line breaks that are to stay
            logger.info(f"\n{name} - {shape}: \n{text} \n ")


def _fingerprint(parameter: Tensor) -> Fingerprint:
    """Sum and norm of the values; None where there are none yet."""
    if parameter.is_meta or is_lazy(parameter):
        return None
    values = parameter.detach().float()
    return float(values.sum()), float(values.norm())


# The report of the outermost `init_weights` that runs. The method takes no argument that could
# carry it, as users override it without one.
active_report: ContextVar[InitReport | None] = ContextVar("active_report", default=None)
