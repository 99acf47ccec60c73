"""The schedulers that hold an optimizer in the place of the curves, which a run still uses in their place."""

from kinema.compat.parts import schedulers
from kinema.registry import PARAM_SCHEDULERS, Registry

REGISTRY: Registry = PARAM_SCHEDULERS
IN_PLACE_OF = {scheduler: scheduler.schedule for scheduler in schedulers.SCHEDULERS}

for _part in IN_PLACE_OF:
    REGISTRY.register_module(module=_part, force=True)
