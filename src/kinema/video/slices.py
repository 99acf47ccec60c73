"""A video that is a stretch of a larger file, such as a member of a tar archive."""

from dataclasses import dataclass
from pathlib import Path

from kinema.errors import VideoError


@dataclass(frozen=True)
class FileSlice:
    """Bytes [offset, offset + num_bytes) of a file.

    Attributes:
        path: the file.
        offset: its first byte.
        num_bytes: how many.
    """

    path: str
    offset: int
    num_bytes: int

    def read(self) -> bytes:
        """The bytes; nothing else of the file is read.

        Raises:
            VideoError: the file cannot be read, or ends before them.
        """
        try:
            with Path(self.path).open("rb") as file:
                file.seek(self.offset)
                content = file.read(self.num_bytes)
        except OSError as error:
            raise VideoError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        if len(content) != self.num_bytes:
            raise VideoError(
                f"{self.path}: ends at byte {self.offset + len(content)}, expected {self.num_bytes} bytes from {self.offset} on: "
                "is it written to the end?"
            )
        return content
