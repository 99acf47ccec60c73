"""The runner with OpenMMLab's further names in the place of Kinema's."""

from kinema import engine
from kinema.compat.parts.runners import Runner
from kinema.registry import RUNNERS, Registry

REGISTRY: Registry = RUNNERS
IN_PLACE_OF = {Runner: engine.Runner}

for _part in IN_PLACE_OF:
    REGISTRY.register_module(module=_part, force=True)
