"""Kinema: video action recognition on PyTorch.

`import kinema` is cheap: the public names below are imported when they are first used.
"""

__version__ = "0.1.0"
