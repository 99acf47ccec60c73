"""XML of others: no entities, which can fill all memory, and no more bytes than an export has."""

import xml.etree.ElementTree as ElementTree
import xml.parsers.expat as expat
from pathlib import Path

from kinema.errors import AnnotationError
from kinema.files import read_bytes

MOST_BYTES = 1 << 30


def parse_xml(source: Path, program: str) -> ElementTree.Element:
    """The root of an XML file.

    Args:
        source: the file.
        program: whose export it should be, for messages.

    Raises:
        AnnotationError: it cannot be read, is no XML, is larger than `MOST_BYTES`, or defines
            entities. Names the file, and the line of broken XML.
    """
    try:
        content = read_bytes(source, MOST_BYTES + 1)
    except OSError as error:
        raise AnnotationError(f"{source}: the annotation file cannot be read: {error.strerror or error}") from error
    if len(content) > MOST_BYTES:
        raise AnnotationError(f"{source}: is larger than {MOST_BYTES >> 20} MiB: export fewer videos a file")
    try:
        if _defines_entities(content):  # which can name each other and fill all memory
            raise AnnotationError(f"{source}: defines XML entities, which {program}'s files never do")
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, expat.ExpatError) as error:
        place = error.position[0] if isinstance(error, ElementTree.ParseError) else error.lineno
        raise AnnotationError(f"{source}:{place}: expected XML: {error}") from error
    except (ValueError, LookupError, RecursionError, MemoryError) as error:  # an encoding that nobody knows
        raise AnnotationError(f"{source}: expected XML: {error}") from error


class _Root(Exception):  # noqa: N818 - ends the reading of what stands before the root
    pass


class _Entity(Exception):  # noqa: N818 - ends it at the first definition
    pass


def _defines_entities(content: bytes) -> bool:
    """Is there an entity among the definitions before the root, in whatever encoding?"""

    def at_root(*_: object) -> None:
        raise _Root

    def at_entity(*_: object) -> None:
        raise _Entity

    parser = expat.ParserCreate()
    parser.StartElementHandler = at_root
    parser.EntityDeclHandler = at_entity
    try:
        parser.Parse(content, True)
    except _Root:
        return False
    except _Entity:
        return True
    return False
