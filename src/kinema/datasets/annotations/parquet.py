"""Parquet tables; needs the extra `parquet`."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kinema.datasets.annotations.records import Annotations
from kinema.datasets.annotations.tables import TableColumns, collect_rows, find_columns
from kinema.errors import AnnotationError, MissingDependencyError
from kinema.files import open_regular

MOST_ROWS_A_BYTE = 100  # of a file; rows that differ need more room, rows that do not are no clips


def read_parquet(
    path: str | os.PathLike,
    *,
    multi_label: bool = False,
    columns: Mapping[str, str] | None = None,
    class_names: Sequence[str] | None = None,
) -> Annotations:
    """Read a parquet table; the columns are found as in a CSV file.

    Args:
        path: the file.
        multi_label: a label text holds several, separated by | ; or , (a list of labels is always
            taken as several).
        columns: names of columns where they cannot be found out; see `COLUMN_NAMES`.
        class_names: names by class index, when known.

    Raises:
        MissingDependencyError: pyarrow is not installed.
        AnnotationError: the file cannot be read, or a value is wrong. Names the file and the row,
            from 1.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError(f"{path}: reading parquet needs pyarrow: pip install 'kinema[parquet]'") from error
    source = Path(path)
    try:
        with open_regular(source) as stream, pyarrow.parquet.ParquetFile(stream) as file:
            num_rows, num_bytes = file.metadata.num_rows, os.fstat(stream.fileno()).st_size
            if num_rows > MOST_ROWS_A_BYTE * num_bytes + MOST_ROWS_A_BYTE * 1000:
                raise AnnotationError(
                    f"{source}: says that it has {num_rows:,} rows in {num_bytes:,} bytes: it is damaged"
                )
            by_role = find_columns(file.schema_arrow.names, columns, f"{source}:1")
            rows = _rows(file, by_role)
            return collect_rows(source, "parquet", rows, by_role, multi_label=multi_label, class_names=class_names)
    except (OSError, pyarrow.ArrowException, MemoryError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise AnnotationError(f"{source}: cannot be read as a parquet table: {reason}") from error


def _rows(file: Any, columns: TableColumns) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows of the columns that are used, some thousands in memory at a time."""
    number = 0
    for batch in file.iter_batches(columns=list(columns.names.values())):
        for row in batch.to_pylist():
            number += 1
            yield number, row
