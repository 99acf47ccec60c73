"""Files of scores: what a model said of each clip, to be measured again and fused without the model.

`.npz` and `.json` need nothing but numpy, `.parquet` the extra of that name; none holds a pickle.
`.pkl` is what OpenMMLab's tools read: a list with a dict of tensors a clip. It is written here, and
read by `kinema.recipes.offline`, which runs nothing that is in it.
"""

import io
import json
import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
import torch

from kinema.errors import DumpError, MissingDependencyError
from kinema.evaluation.clip_scores import ClipScores, FailedClip
from kinema.files import open_regular, written_whole

SUFFIXES = (".npz", ".json", ".parquet", ".pkl")
PICKLES = (".pkl", ".pickle")
FORMAT = "kinema scores 1"


@dataclass(frozen=True, eq=False)
class ScoreDump:
    """What a file of scores holds.

    Attributes:
        clips: the clips that were measured.
        failed: those that could not be read; they are in no number.
        source: what was measured, for people: the file or folder of the annotations.
        temperature: of the checkpoint, which is in the scores; None: they are uncalibrated.
    """

    clips: ClipScores
    failed: tuple[FailedClip, ...] = ()
    source: str = ""
    temperature: float | None = None


def dump_suffix(path: str | os.PathLike) -> str:
    """The suffix of a file of scores, in lower case.

    Raises:
        DumpError: it is none of a known format.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (*SUFFIXES, *PICKLES):
        raise DumpError(f"{path}: expected a file of scores, {', '.join(SUFFIXES)}, got the suffix {suffix!r}")
    return suffix


def write_dump(path: str | os.PathLike, dump: ScoreDump) -> None:
    """Write scores, whole or not at all, in the format of the suffix; the folder is made.

    Raises:
        DumpError: the suffix is of no known format.
        MissingDependencyError: parquet without pyarrow.
        OSError: the file cannot be written.
    """
    write = {".npz": _npz, ".json": _json, ".parquet": _parquet}.get(dump_suffix(path), _pickle)
    content = write(dump, Path(path))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with written_whole(Path(path), "wb") as file:
        file.write(content)


def read_dump(path: str | os.PathLike) -> ScoreDump:
    """Read scores that `write_dump` wrote, other than pickles.

    Raises:
        DumpError: the file is no such file, or damaged.
        MissingDependencyError: parquet without pyarrow.
        OSError: it cannot be read.
    """
    read = {".npz": _of_npz, ".json": _of_json, ".parquet": _of_parquet}[dump_suffix(path)]
    with open_regular(Path(path)) as file:
        content = file.read()
    try:
        header, columns = read(content, Path(path))
        dump = _joined(header, columns)
    except (KeyError, TypeError, ValueError, EOFError, OSError, BadZipFile, RecursionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DumpError(f"{path}: is no file of scores of `kinema test --out`, or is damaged: {reason}") from error
    check_dump(dump, str(path))
    return dump


def check_dump(dump: ScoreDump, name: str) -> None:
    """Require columns that fit one another.

    Raises:
        DumpError: they do not, or a value is none that a score or a label can have.
    """
    clips = dump.clips
    shape, count = clips.scores.shape, len(clips.paths)
    wrong = None
    of_labels = shape if clips.is_multi_label else (count,)
    if clips.scores.ndim != 2 or shape[0] != count or not clips.scores.size or clips.labels.shape != of_labels:
        wrong = f"{count} clips, {len(clips.labels)} labels and scores of shape {shape}"
    elif not np.isfinite(clips.scores).all():
        wrong = "scores that are not numbers (NaN or infinite)"
    elif not clips.is_multi_label and (clips.labels.min() < 0 or clips.labels.max() >= shape[1]):
        wrong = f"labels from {clips.labels.min()} to {clips.labels.max()} for {shape[1]} classes"
    elif clips.classes and len(clips.classes) != shape[1]:
        wrong = f"{len(clips.classes)} class names for scores of {shape[1]} classes"
    elif any(times is not None and times.shape != (count,) for times in (clips.starts, clips.ends)):
        wrong = "not one start and end a clip"
    if wrong is not None:
        raise DumpError(f"{name}: holds {wrong}: expected one label and one row of scores a clip; it is damaged")


# ---- what all formats hold


def _header(dump: ScoreDump) -> dict[str, Any]:
    clips = dump.clips
    return {
        "format": FORMAT,
        "source": dump.source,
        "root": clips.root,
        "unit": clips.unit,
        "classes": list(clips.classes),
        "failed": [failed._asdict() for failed in dump.failed],
        **({} if dump.temperature is None else {"temperature": dump.temperature}),
        **({"multi_label": True} if clips.is_multi_label else {}),
    }


def _times(clips: ClipScores) -> dict[str, np.ndarray]:
    columns = {"start": clips.starts, "end": clips.ends}
    return {name: times.astype(np.float64) for name, times in columns.items() if times is not None}


def _joined(header: Any, columns: Mapping[str, Any]) -> ScoreDump:
    if not isinstance(header, Mapping) or header.get("format") != FORMAT:
        raise ValueError(f"it does not begin with {FORMAT!r}")
    if header["unit"] not in ("seconds", "frames"):
        raise ValueError(f"its unit of time is {header['unit']!r}")
    scores = np.asarray(columns["scores"], np.float32)
    labels = _label_rows(columns["label"], scores) if header.get("multi_label") else _label_column(columns["label"])
    starts, ends = (
        None if columns.get(name) is None else np.array(columns[name], np.float64) for name in ("start", "end")
    )
    clips = ClipScores(
        tuple(map(str, columns["path"])),
        labels,
        scores,
        tuple(map(str, header["classes"])),
        str(header["root"]),
        starts,
        ends,
        header["unit"],
    )
    failed = tuple(FailedClip(**failed) for failed in header["failed"])
    temperature = header.get("temperature")
    if temperature is not None and not (type(temperature) in (int, float) and temperature > 0):
        raise ValueError(f"its temperature is {temperature!r}")
    return ScoreDump(clips, failed, str(header["source"]), temperature)


def _label_column(values: Any) -> np.ndarray:
    """(B,) int64."""
    labels = np.asarray(values)
    if labels.size and labels.dtype.kind not in "iu":
        raise ValueError("its labels are no whole numbers")
    return labels.astype(np.int64)


def _label_rows(values: Any, scores: np.ndarray) -> np.ndarray:
    """(B, N) bool, of the classes of each clip or of such rows."""
    if isinstance(values, np.ndarray):
        return values.astype(bool)
    labels = np.zeros(scores.shape, dtype=bool)
    for row, classes in zip(labels, values, strict=True):
        if any(type(index) is not int or not 0 <= index < len(row) for index in classes):
            raise ValueError(f"the labels {classes} are not all classes")
        row[classes] = True
    return labels


def _labels(clips: ClipScores) -> list[int] | list[list[int]]:
    """Of each clip its class, or the list of its classes."""
    if clips.is_multi_label:
        return [clips.labels_of(place) for place in range(len(clips))]
    single: list[int] = clips.labels.tolist()
    return single


# ---- npz: `header`, a JSON text, and one array a column


def _npz(dump: ScoreDump, path: Path) -> bytes:
    clips, stream = dump.clips, io.BytesIO()
    columns: dict[str, Any] = {
        "header": np.array(json.dumps(_header(dump))),
        "path": np.array(clips.paths, dtype=np.str_),
        "label": clips.labels.astype(np.uint8 if clips.is_multi_label else np.int64),
        "scores": clips.scores.astype(np.float32),
        **_times(clips),
    }
    np.savez(stream, **columns)
    return stream.getvalue()


def _of_npz(content: bytes, path: Path) -> tuple[Any, dict[str, Any]]:
    if not is_zipfile(io.BytesIO(content)):  # of which numpy says that it may be loaded "unsafely"
        raise ValueError("it is no .npz archive")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        columns = {name: arrays[name] for name in arrays.files}
    return json.loads(str(columns.pop("header"))), columns


# ---- JSON: the header with one object a clip under `clips`


def _json(dump: ScoreDump, path: Path) -> bytes:
    clips = dump.clips
    rows = [
        {**{key: value for key, value in clip._asdict().items() if value is not None}, "label": label, "scores": scores}
        for clip, label, scores in zip(clips.ids, _labels(clips), clips.scores.tolist(), strict=True)
    ]
    return json.dumps({**_header(dump), "clips": rows}, allow_nan=False).encode()


def _of_json(content: bytes, path: Path) -> tuple[Any, dict[str, Any]]:
    header = json.loads(content)
    if not isinstance(header, Mapping):
        raise ValueError("it holds no object")
    rows = header.get("clips", [])
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in ("path", "label", "scores")}
    for name in ("start", "end"):
        if any(row.get(name) is not None for row in rows):
            columns[name] = [np.nan if row.get(name) is None else row[name] for row in rows]
    return header, columns


# ---- parquet: one row a clip, the header as metadata of the table


def _pyarrow(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingDependencyError(f"{path}: parquet needs pyarrow: pip install 'kinema[parquet]'") from error
    return pyarrow


def _parquet(dump: ScoreDump, path: Path) -> bytes:
    pyarrow, clips, stream = _pyarrow(path), dump.clips, io.BytesIO()
    flat = pyarrow.array(clips.scores.astype(np.float32).reshape(-1))
    columns = {
        "path": pyarrow.array(clips.paths, pyarrow.string()),
        **{name: pyarrow.array(times, from_pandas=True) for name, times in _times(clips).items()},
        "label": pyarrow.array(_labels(clips)),
        "scores": pyarrow.FixedSizeListArray.from_arrays(flat, clips.num_classes),
    }
    table = pyarrow.table(columns, metadata={"kinema": json.dumps(_header(dump))})
    pyarrow.parquet.write_table(table, stream)
    return stream.getvalue()


def _of_parquet(content: bytes, path: Path) -> tuple[Any, dict[str, Any]]:
    pyarrow = _pyarrow(path)
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(content))
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from error
    columns: dict[str, Any] = {name: table.column(name).to_pylist() for name in table.column_names}
    for name in ("start", "end"):
        if name in columns:
            columns[name] = [np.nan if time is None else time for time in columns[name]]
    return json.loads((table.schema.metadata or {}).get(b"kinema", b"null")), columns


# ---- pickle: what OpenMMLab's DumpResults writes


def _pickle(dump: ScoreDump, path: Path) -> bytes:
    clips = dump.clips
    # One object for all rows is in the file once.
    shared: dict[str, Any] = {"root": clips.root, "classes": list(clips.classes), "unit": clips.unit}
    shared |= {"source": dump.source, **({} if dump.temperature is None else {"temperature": dump.temperature})}
    rows = zip(clips.ids, torch.from_numpy(clips.labels), torch.tensor(clips.scores), strict=True)
    samples = [
        {
            "gt_label": label.float() if clips.is_multi_label else label.reshape(1).clone(),
            "pred_score": scores.clone(),
            **({} if clips.is_multi_label else {"pred_label": scores.argmax().reshape(1)}),
            "filename": clip.path,
            **({} if clip.start is None else {"start": clip.start}),
            **({} if clip.end is None else {"end": clip.end}),
            "dump": shared,
        }
        for clip, label, scores in rows
    ]
    return pickled_samples(samples)


def pickled_samples(samples: Sequence[Mapping[str, Any]]) -> bytes:
    """A list of data samples as a pickle, as OpenMMLab's tools read it."""
    return pickle.dumps(list(samples), protocol=4)
