"""Reading the files of `torch.save`, and those of `pickle.dump`, without running anything that they name.

A pickle is a program: it names classes and functions and calls them. Here no name is resolved by
importing. A name that is known (`names.py`) leads to a function of this package. Any other name
becomes an inert class (`stand_ins.py`): making an object of it, as pickles of plain objects do,
gives an empty shell that holds the object's state; calling it, as pickles do that run something, is
an error. Each operation is checked before it is done (`machine.py`, `bounds.py`), and every size
(`containers.py`, `arrays.py`).
"""

from kinema.checkpoints.unpickling.restricted import Unpickled, load_restricted, load_restricted_pickle
from kinema.checkpoints.unpickling.stand_ins import Inert

__all__ = ["Inert", "Unpickled", "load_restricted", "load_restricted_pickle"]
