"""A video that is a stretch of a larger file, such as a member of a tar archive."""

import os
from dataclasses import dataclass

from kinema.errors import VideoError
from kinema.files import open_regular


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
            with open_regular(self.path) as file:
                there = os.fstat(file.fileno()).st_size
                if self.offset < 0 or self.num_bytes < 0 or self.offset + self.num_bytes > there:
                    raise VideoError(
                        f"{self.path}: ends at byte {there}, expected {self.num_bytes} bytes from {self.offset} on: "
                        "is it written to the end?"
                    )
                file.seek(self.offset)
                content = file.read(self.num_bytes)
        except OSError as error:
            raise VideoError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        if len(content) != self.num_bytes:
            raise VideoError(f"{self.path}: became shorter while it was read")
        return content
