"""Training on one process or on several."""

from kinema.parallel.choosing import choose_strategy
from kinema.parallel.strategies import DataParallel, FullyShard, SingleDevice, Strategy
from kinema.parallel.wrapped import Wrapped

__all__ = ["DataParallel", "FullyShard", "SingleDevice", "Strategy", "Wrapped", "choose_strategy"]
