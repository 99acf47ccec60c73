"""`names.txt`, the table of OpenMMLab's modules: what each of their names is in Kinema."""

import functools
from pathlib import Path
from typing import NamedTuple

TABLE_FILE = Path(__file__).parent / "names.txt"


class Place(NamedTuple):
    """Where a name is defined: a module of Kinema (or torch) and the name there."""

    module: str
    name: str


Names = dict[str, Place | None]  # by the old name; None: Kinema does not have it yet


@functools.cache
def read_table() -> dict[str, Names]:
    """The names of each module of the table; packages that only hold others have no names.

    Raises:
        ValueError: a line of the table says a name twice, or `all of` an unknown module.
    """
    own: dict[str, Names] = {}
    included: dict[str, list[str]] = {}
    module = source = ""
    for number, line in enumerate(TABLE_FILE.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if line == text:
            module = text
            own[module], included[module] = {}, []
            continue
        head, colon, rest = text.partition(":")
        source = head if colon else source  # a line without a colon continues the one before it
        for word in (rest if colon else text).split():
            if source == "all of":
                included[module].append(word)
                continue
            old, _, new = word.partition("=")
            if old in own[module]:
                raise ValueError(f"{TABLE_FILE}:{number}: {module} has {old} twice")
            own[module][old] = None if source == "not yet" else Place(source, new or old)
    table = {name: _all_names(name, own, included) for name in own}
    for name in own:
        while name := name.rpartition(".")[0]:
            table.setdefault(name, {})
    return table


def _all_names(module: str, own: dict[str, Names], included: dict[str, list[str]]) -> Names:
    names: Names = {}
    for other in included[module]:
        if other not in own:
            raise ValueError(f"{TABLE_FILE}: {module} holds all of {other}, which is not in the table")
        others = _all_names(other, own, included)
        names.update({name: place for name, place in others.items() if not name.startswith("_")})
    return names | own[module]
