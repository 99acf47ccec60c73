"""Class names of public data sets, for weights that were trained on them and do not say their names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class KnownSet:
    """A public data set whose classes are known by name.

    Attributes:
        title: what people call it.
        num_classes: number of its classes.
        file: of the names, one a line by class index, beside this module; None: there is none, only
            its name is known.
        pattern: what names of its files, folders and configs hold.
    """

    title: str
    num_classes: int
    file: str | None
    pattern: str


# Sets without names are here so that they are not taken for another of their size.
KNOWN_SETS = (
    KnownSet("Kinetics-400", 400, "kinetics400.txt", r"kinetics[-_ ]?400|(?<![a-z0-9])k400"),
    KnownSet("Kinetics-600", 600, None, r"kinetics[-_ ]?600|(?<![a-z0-9])k600"),
    KnownSet("Kinetics-700", 700, "kinetics700.txt", r"kinetics[-_ ]?700|(?<![a-z0-9])k700"),
    KnownSet(
        *("Something-Something V2", 174, "something_something_v2.txt"),
        r"something[-_ ]?something[-_ ]?v?2|something[-_ ]?v2|(?<![a-z0-9])(sthv2|ssv2|sth[-_]v2|ssthv2)",
    ),
    KnownSet(
        *("Something-Something V1", 174, None),
        r"something[-_ ]?something[-_ ]?v?1|something[-_ ]?v1|(?<![a-z0-9])(sthv1|ssv1|sth[-_]v1|ssthv1)",
    ),
    KnownSet("UCF101", 101, "ucf101.txt", r"ucf[-_ ]?101"),
    KnownSet("HMDB51", 51, "hmdb51.txt", r"hmdb[-_ ]?51"),
)


@cache
def class_names_of_set(title: str) -> tuple[str, ...]:
    """Names by class index of one of `KNOWN_SETS`; empty where they are not known.

    Raises:
        KeyError: there is no such set.
    """
    known = next((known_set for known_set in KNOWN_SETS if known_set.title == title), None)
    if known is None:
        raise KeyError(f"{title}: expected one of {', '.join(known_set.title for known_set in KNOWN_SETS)}")
    if known.file is None:
        return ()
    text = (files(__package__) / "label_maps" / known.file).read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if not line.startswith("#"))


def find_known_set(texts: Iterable[str], num_classes: int) -> KnownSet | None:
    """The set that texts such as names of files and folders speak of; None where they speak of none or of several.

    Args:
        texts: such as `data/kinetics400/train.txt`, or the name of a file of weights.
        num_classes: classes of the weights; a set of another size is none, however it is called.
    """
    spoken = list(texts)
    named = [
        known_set for known_set in KNOWN_SETS if any(re.search(known_set.pattern, text.lower()) for text in spoken)
    ]
    return named[0] if len(named) == 1 and named[0].num_classes == num_classes else None
