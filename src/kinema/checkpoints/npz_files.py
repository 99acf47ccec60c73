"""Reading `.npz` files, numpy's archives of arrays, as JAX users publish weights: no object in them is unpickled."""

import zipfile
from pathlib import Path

import numpy as np
import torch

from kinema.errors import CheckpointError
from kinema.printable import first_line

# Weights hardly pack; archives that unpack to more than this many times their size are made to fill memory.
PACKING = 100


def read_npz(file: Path, device: str | torch.device) -> dict[str, torch.Tensor]:
    """The arrays of numbers of a file, as tensors under their names there.

    Raises:
        CheckpointError: it is damaged, is no such file, or holds anything but numbers.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > PACKING * file.stat().st_size:
            raise CheckpointError(
                f"{file} unpacks to {unpacked} bytes, over {PACKING} times its size: it holds no weights"
            )
        with np.load(file, allow_pickle=False) as arrays:
            return {name: _as_tensor(arrays[name], name, file).to(device) for name in arrays.files}
    except (zipfile.BadZipFile, ValueError, TypeError, KeyError, EOFError, OSError, MemoryError, SyntaxError) as error:
        raise CheckpointError(f"{file} is not an .npz file of arrays: {first_line(error)}") from error


def _as_tensor(array: object, name: str, file: Path) -> torch.Tensor:
    if isinstance(array, np.ndarray) and array.dtype == np.dtype(
        "V2"
    ):  # how numpy saves bfloat16, which it does not know
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise CheckpointError(
            f"{file}: {name} is no array of numbers, got {getattr(array, 'dtype', type(array).__name__)}"
        )
    return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))))
