"""Classes of one data set among those of a larger one: some rows of a classifier, in another order.

Kinetics-710 is the union of Kinetics-400, 600 and 700. The authors of networks that were trained on it
publish for each of these a list of its classes' numbers there (`label_710to400.json`).
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kinema.checkpoints.file_formats import FileFormat
from kinema.checkpoints.reading import Checkpoint
from kinema.errors import CheckpointError, ConfigError


def read_label_map(file: str | os.PathLike[str], num_classes: int, argument: str = "label_map") -> list[int]:
    """Read a JSON list: for each of `num_classes` classes its number among those of the larger data set.

    Args:
        file: its path.
        num_classes: length that it must have.
        argument: what messages call it.

    Raises:
        ConfigError: the file cannot be read, or is no such list.
    """
    try:
        rows = json.loads(Path(file).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file}: {argument} cannot be read: {error}") from None
    is_list = isinstance(rows, list) and all(type(row) is int and row >= 0 for row in rows)
    if not is_list or len(rows) != num_classes:
        actual = f", got {len(rows)} of them" if is_list else ""
        raise ConfigError(f"{file}: {argument} must be a list of num_classes={num_classes} numbers from 0{actual}")
    return [*rows]


def pick_classes(read: Checkpoint, kind: FileFormat | None, rows: Sequence[int]) -> Checkpoint:
    """A checkpoint whose classifier has only some of its classes.

    Args:
        read: the checkpoint; stays as it is.
        kind: format of its names; None: it is a recognizer of ours.
        rows: numbers of these classes, in the order that they shall have.

    Raises:
        CheckpointError: it has no classifier, or fewer classes than the numbers need.
    """
    pattern = r"^cls_head\.fc_cls\." if kind is None else kind.classes or kind.of_head
    prefixes = ("module.", "_orig_mod.") if kind is None else kind.prefixes
    front = f"^({'|'.join(map(re.escape, prefixes))})+"
    picked = {name: tensor for name, tensor in read.state.items() if re.search(pattern, re.sub(front, "", name))}
    where = read.name or "the checkpoint"
    if not picked:
        raise CheckpointError(f"{where} holds no classifier, of whose classes label_map could take some")
    for name, tensor in picked.items():
        if len(tensor) <= max(rows):
            raise CheckpointError(f"{where} has {len(tensor)} classes ({name}), but label_map names class {max(rows)}")
    return replace(read, state={**read.state, **{name: tensor[[*rows]] for name, tensor in picked.items()}})
