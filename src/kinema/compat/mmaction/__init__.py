"""`mmaction`, thin over Kinema."""

__all__ = [
    "__version__",
    "version_info",
]

# The OpenMMLab release whose names these are, so that checks of the version in users' code pass.
__version__ = "1.2.0"
version_info = (1, 2, 0)
