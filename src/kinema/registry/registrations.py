"""What a registry holds: parts with the place where each was registered, and parts by name."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Part = Callable[..., Any]


@dataclass(frozen=True)
class Entry:
    """A registered part and where it was registered, which shows a definition that is run again."""

    part: Part
    registrar: str  # module that registered it: torch's optimizers are our parts too
    file: str
    line: int

    @property
    def is_own(self) -> bool:
        return self.registrar.partition(".")[0] == "kinema"

    @property
    def where(self) -> str:
        return f"{self.definition.__module__}.{self.definition.__qualname__}"

    @property
    def definition(self) -> Any:
        """The class or function, also where the part is one with arguments set."""
        return self.part.func if isinstance(self.part, functools.partial) else self.part

    def is_rerun_of(self, other: "Entry") -> bool:
        """True when this is the same definition executed again: a notebook cell, a reloaded module."""
        if self.part is other.part:
            return True
        # One file run as a script and imported too: `__main__.Part` and `parts.Part`.
        same_name = self.definition.__qualname__ == other.definition.__qualname__
        if same_name and (self.file, self.line) == (other.file, other.line):
            return True
        return self.where == other.where and "<locals>" not in self.definition.__qualname__


class PartsByName(dict[str, Part]):
    """Parts of tables of entries; a name that is deleted here is deleted there."""

    def __init__(self, *tables: dict[str, Entry]) -> None:
        super().__init__({name: entry.part for table in tables for name, entry in table.items()})
        self._tables = tables

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        for table in self._tables:
            table.pop(name, None)

    def pop(self, name: str, *default: Any) -> Any:
        if name not in self and default:
            return default[0]
        part = self[name]
        del self[name]
        return part
