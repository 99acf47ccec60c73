"""The optimizer wrappers with OpenMMLab's further names in the place of Kinema's."""

from kinema.compat.parts.optim_wrappers import AmpOptimWrapper, OptimWrapper
from kinema.optim import wrapper
from kinema.registry import OPTIM_WRAPPERS, Registry

REGISTRY: Registry = OPTIM_WRAPPERS
IN_PLACE_OF = {OptimWrapper: wrapper.OptimWrapper, AmpOptimWrapper: wrapper.AmpOptimWrapper}

for _part in IN_PLACE_OF:
    REGISTRY.register_module(module=_part, force=True)
