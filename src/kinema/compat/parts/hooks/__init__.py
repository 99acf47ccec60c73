"""OpenMMLab's hooks for runners that are not Kinema's, and with the attributes that code reads of them.

Under a run of Kinema they are Kinema's hooks. Under another runner, of a user's own or a test's,
they do by themselves what OpenMMLab's do there.
"""

import sys

from kinema.registry import HOOKS

_PARTS = "kinema.compat.parts.hooks.registering"


def attach() -> None:
    """Build these hooks where a config names Kinema's of the same name."""
    if _PARTS in sys.modules:
        sys.modules[_PARTS].register()
    elif _PARTS not in HOOKS.locations:
        HOOKS.locations.append(_PARTS)  # imported when a hook is looked up
        HOOKS._imported = False


def detach() -> None:
    """Build Kinema's hooks again."""
    if _PARTS in HOOKS.locations:
        HOOKS.locations.remove(_PARTS)
    if _PARTS in sys.modules:
        sys.modules[_PARTS].unregister()
