"""Training on one process or on several."""

from kinema.parallel.strategies import DataParallel, FullyShard, SingleDevice, Strategy, choose_strategy

__all__ = ["DataParallel", "FullyShard", "SingleDevice", "Strategy", "choose_strategy"]
