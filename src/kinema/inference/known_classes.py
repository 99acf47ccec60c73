"""Class names of weights whose file has none, by the public data set that their config names."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from kinema.datasets.annotations.known_sets import class_names_of_set, find_known_set

logger = logging.getLogger("kinema")

_DATA_KEYS = ("ann_file", "data_root", "data_prefix", "dataset_type")
MOST_TEXTS = 1000


def public_classes(config: Mapping[str, Any], num_classes: Any, where: str) -> tuple[str, ...]:
    """Class names of the public data set that a config trained on, and a log line on it.

    Empty where none is known.

    The config's annotation files and folders decide. Only where it names none does the name of the
    file of weights, as published files carry that of their data set. The set must have as many
    classes as the weights; of two sets neither is taken.

    Args:
        config: of the training.
        num_classes: classes of the weights.
        where: path or address of the weights.
    """
    if not isinstance(num_classes, int):
        return ()
    texts = list(_data_texts(config))
    known = find_known_set(texts or [PurePosixPath(where.replace("\\", "/")).name], num_classes)
    if known is None:
        return ()
    names = class_names_of_set(known.title)
    source = "its config" if texts else "the name of the file"
    if names:
        logger.info("%s: names no classes; by %s they are those of %s", where, source, known.title)
    else:
        logger.info("%s: trained on %s by %s, whose class names are not known here", where, known.title, source)
    return names


def _data_texts(config: Any) -> Iterator[str]:
    """Texts of a config that say where its data lies, some of them where there are very many."""
    pending = [("", config)]
    given = 0
    while pending and given < MOST_TEXTS:
        key, value = pending.pop()
        if isinstance(value, Mapping):
            pending += [(key if key.startswith(_DATA_KEYS) else str(name), entry) for name, entry in value.items()]
        elif isinstance(value, list | tuple):
            pending += [(key, entry) for entry in value]
        elif isinstance(value, str) and value and key.startswith(_DATA_KEYS) and "Dataset" not in value:
            given += 1
            yield value
