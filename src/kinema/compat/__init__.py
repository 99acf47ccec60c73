"""Kinema under OpenMMLab's names: code that imports `mmaction`, `mmengine`, `mmcv` and `decord` runs unchanged.

Two ways in::

    python -m kinema.compat train_my_model.py --epochs 3

    import kinema.compat
    kinema.compat.install()      # before the first import of those names
    from mmengine.model import BaseModule

What there is, what is a placeholder yet and what differs: docs/compat.md.
"""

from kinema.compat.finder import PACKAGES, install_finder, is_installed, uninstall_finder
from kinema.compat.parts import replacing
from kinema.compat.parts.image_transforms import registry as image_transforms
from kinema.logs import show_on_console
from kinema.openmmlab import run_files
from kinema.real_modules import import_real
from kinema.registry import INFERENCERS

__all__ = ["PACKAGES", "import_real", "install", "is_installed", "uninstall"]

INFERENCERS.add_location("kinema.compat.parts.recognition_inferencers")  # they are OpenMMLab's alone


def install() -> None:
    """Make `mmaction`, `mmengine`, `mmcv` and `decord` importable as thin modules over Kinema's parts.

    Log records of level INFO are shown on the console from then on, and runs write `.pth` files
    beside Kinema's checkpoints, as code written for those packages expects. A real package of one
    of the names that is installed but not imported is hidden. Installing again changes nothing.

    Raises:
        KinemaError: a real package of one of the names is imported already.
    """
    install_finder()
    image_transforms.attach()
    replacing.attach()
    show_on_console()
    run_files.also_pth = True


def uninstall() -> None:
    """Give the four names back; modules imported under them are forgotten.

    The console keeps showing log records.
    """
    uninstall_finder()
    image_transforms.detach()
    replacing.detach()
    run_files.also_pth = False
