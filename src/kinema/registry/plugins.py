"""Parts of other packages, which their entry points name."""

import importlib.metadata
import inspect
import logging

logger = logging.getLogger("kinema")

_plugins_loaded = False


def load_plugins() -> None:
    """Import what installed packages declare in the entry-point group `kinema.plugins`, once a process.

    An entry point names a module (its import registers the parts) or a function (which is called).
    One that fails is named in a warning and left out.
    """
    global _plugins_loaded
    if _plugins_loaded:
        return
    _plugins_loaded = True
    for point in importlib.metadata.entry_points(group="kinema.plugins"):
        try:
            loaded = point.load()
            if inspect.isroutine(loaded):
                loaded()
        except Exception as error:  # a broken plug-in must not take the others down
            logger.warning(
                "plug-in %s (%s) could not be loaded: %s: %s", point.name, point.value, type(error).__name__, error
            )
