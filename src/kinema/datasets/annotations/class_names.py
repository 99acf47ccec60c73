"""Names of classes: what they may be, and the file that holds them, one a line."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from kinema.errors import AnnotationError
from kinema.files import read_text, write_text
from kinema.printable import breaks_lines, printable


def check_class_names(names: Iterable[str], place: str) -> None:
    """Require names that a file of one name a line gives back as they are: else later classes would get others' names.

    Args:
        names: of classes.
        place: file, or file and line, for messages.

    Raises:
        AnnotationError: a name has a line break or no text, or is not UTF-8.
    """
    for name in names:
        if breaks_lines(name):
            raise AnnotationError(
                f"{place}: the name of the class {name!r} has a line break, which no list of classes can hold: write it"
                " in one line"
            )
        if not name.strip():
            raise AnnotationError(f"{place}: a class has the name {name!r}: expected some text")
        try:
            name.encode()
        except UnicodeEncodeError:
            raise AnnotationError(
                f"{place}: the name of the class '{printable(name)}' is not UTF-8: rename it"
            ) from None


def read_class_names(path: Path) -> tuple[str, ...]:
    """Class names, one a line, in the order of the class indices; empty when there is no such file.

    Raises:
        AnnotationError: the file cannot be read, is not UTF-8, or holds a name that is none. Names
            the file.
    """
    if not path.exists():
        return ()
    try:
        text = read_text(path, "utf-8-sig")
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = text_line(error.object, error.start)
        raise AnnotationError(f"{path}:{line}: expected names of classes in UTF-8: save it as UTF-8") from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")  # str.splitlines would break at more than these
    names = tuple(line.strip() for line in lines if line.strip())
    check_class_names(names, str(path))
    return names


def text_line(content: bytes, place: int) -> int:
    """The line, from 1, that byte `place` lies in."""
    return content.count(b"\n", 0, place) + 1


def write_class_names(path: Path, names: Sequence[str]) -> None:
    """Write the names, one a line, so that `read_class_names` gives them back.

    Raises:
        AnnotationError: a name cannot be written so. Names the file.
    """
    check_class_names(names, str(path))
    write_text(path, "".join(f"{name}\n" for name in names), newline="\n")
