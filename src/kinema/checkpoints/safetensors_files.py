"""Reading `.safetensors` files: the library checks the header, the tensors are copies."""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from kinema.errors import CheckpointError
from kinema.printable import first_line

HEADER_BYTES = 4 << 20  # some 40,000 tensors


def read_safetensors(file: Path, device: str | torch.device) -> dict[str, torch.Tensor]:
    """The tensors of a file, none of which is a view of it: what happens to the file later changes nothing.

    Raises:
        CheckpointError: it is damaged, or no such file.
    """
    with file.open("rb") as stream:
        header = int.from_bytes(stream.read(8), "little")
    if header > HEADER_BYTES:
        raise CheckpointError(
            f"{file} is not a safetensors file: its header claims {header} bytes; {HEADER_BYTES} are the most"
        )
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            # Each one is dropped once it is copied: the library maps the file into memory.
            return {name: opened.get_tensor(name).to(device, copy=True) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, UnicodeError) as error:
        raise CheckpointError(f"{file} is not a safetensors file: {first_line(error)}") from error
