"""Reading the files of `torch.save` without running anything that they name."""

from kinema.checkpoints.unpickling.restricted import Inert, Unpickled, first_line, load_restricted

__all__ = ["Inert", "Unpickled", "first_line", "load_restricted"]
