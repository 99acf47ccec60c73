"""The work folder of a run: one process at a time, an earlier run's files set aside, remains of killed ones removed.

The files of a work folder: `run.json` (what the run was made of, as data), `config.py` (the same,
to read and to run again), `train.log`, `metrics.jsonl`, `checkpoints/`, `summary.json`,
`broken.jsonl` when there were broken videos, `train_clips.csv` and `val_clips.csv` when clips were
held out, and what trackers write. `.lock` belongs to the process that trains.
"""

import errno
import logging
import os
import re
import shutil
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from kinema.checkpoints.saving import remove_leftovers
from kinema.distributed import broadcast_object, is_main_process
from kinema.errors import ConfigError
from kinema.files import read_bytes, sync_folder, write_text
from kinema.runs.layout import HOLDER_FILE, LOCK_FILE, RUN_FILES, RUN_FOLDERS, SIGNS_OF_A_RUN

logger = logging.getLogger("kinema")

_UNFINISHED = re.compile(r"\..*\.[0-9a-f]{8}\.part|\.(last|best)\.new|(metrics|broken)\.new")
_UNFINISHED_CHECKPOINT = re.compile(r"\.((?:epoch|step)_\d+)\.(old\.)?\w+")
# A file system without locks answers with one of these.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EREMOTEIO}

_held: dict[Path, "WorkFolder"] = {}  # of this process
_guard = threading.Lock()


class WorkFolder:
    """A work folder that this run alone writes into; see `hold`.

    Attributes:
        path: of the folder.
        aside: where the files of an earlier run are now; None when there was none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.aside: Path | None = None
        self._lock: Any = None
        self._thread = threading.get_ident()
        self._has_begun = False
        self._new_folders: list[Path] = []

    def set_aside(self, weights: str | os.PathLike[str] | None = None) -> Path | None:
        """Move the files of an earlier run into `earlier_1` (or the next free number), so that a new one loses nothing.

        Until `begin` is called they are put back when the run fails.

        Args:
            weights: file or folder that the new run starts from.

        Returns:
            Where they are now; None when there was no run.

        Raises:
            ConfigError: `weights` is one of them.
        """
        if weights is not None and (self.path / "checkpoints").resolve() in Path(weights).resolve().parents:
            raise ConfigError(
                f"the weights to start from, {os.fspath(weights)}, lie in the work folder, whose files this run sets"
                " aside: give another work_dir, or resume"
            )
        if is_main_process() and self.aside is None and not self._has_begun:
            self.aside = set_aside(self.path)
        self.aside = broadcast_object(self.aside)
        return self.aside

    def check(self) -> None:
        """Require what a run has left here to be of the kinds that the next one writes, before it loses a step on them.

        Raises:
            ConfigError: a file's place is taken by a folder, a pipe or a link that leads nowhere, or
                a folder's by a file.
        """
        problem: str | None = None
        if is_main_process():
            pointers = [self.path / "checkpoints" / name for name in ("last", "best")]
            # What else is in a pointer's place gives way to it.
            places = [*(self.path / name for name in RUN_FILES), *(file for file in pointers if file.is_dir())]
            problem = next(filter(None, map(_misplaced, places)), None)
        problem = broadcast_object(problem)
        if problem is not None:
            raise ConfigError(problem)

    def begin(self) -> None:
        """Training begins: from here on the folder belongs to the new run."""
        self._has_begun = True

    def _put_back(self) -> None:
        if self.aside is not None and not self._has_begun and is_main_process():
            put_back(self.path, self.aside)

    def _acquire(self) -> None:
        lock = filelock.FileLock(self.path / LOCK_FILE, timeout=0, thread_local=False)
        try:
            self._new_folders = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except filelock.Timeout:
            problem = _why_no_locks(self.path)  # which filelock before 4 takes for a lock that is held
            if problem is not None:
                _warn_of_no_lock(self.path, problem)
                return
            raise ConfigError(
                f"{self.path}: another run writes into this work folder ({_holder(self.path)}): wait until it has"
                " ended, or choose another --work-dir"
            ) from None
        except NotImplementedError as error:
            _warn_of_no_lock(self.path, error)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise ConfigError(
                    f"{error.filename or self.path}: {error.strerror or error}: {self.path} cannot be the work folder"
                ) from error
            _warn_of_no_lock(self.path, error)
        else:
            self._lock = lock
            with suppress(OSError):  # a full disk; the name of the holder is only for messages
                write_text(self.path / HOLDER_FILE, _this_process() + "\n")

    def _release(self) -> None:
        if self._lock is None:
            return
        with suppress(OSError):
            (self.path / HOLDER_FILE).unlink()
        if self._new_folders and not self._has_begun:
            self._remove_if_empty()
        self._lock.release()
        self._lock = None

    def _remove_if_empty(self) -> None:
        """A command that failed before it wrote anything leaves no folders."""
        if [entry.name for entry in _entries(self.path)] == [LOCK_FILE]:
            with suppress(OSError):
                (self.path / LOCK_FILE).unlink()
                for folder in self._new_folders:
                    folder.rmdir()


@contextmanager
def hold(path: Path) -> Iterator[WorkFolder]:
    """Keep other processes from training into a work folder, and remove what killed runs left half-written in it.

    The system lets go of the lock when the process ends, however it ends. Of several processes of
    one run the main one holds it. Inside of another `hold` of the same folder, in the same thread,
    it is the same hold. A file system without locks is a warning.

    Args:
        path: the work folder; is made.

    Returns:
        A context manager of the folder. When its block ends with an error before
        `WorkFolder.begin`, an earlier run's files are put back.

    Raises:
        ConfigError: another run holds it, or it cannot be written.
    """
    key = path.expanduser().absolute()
    with _guard:
        outer = _held.get(key)
    if outer is not None and outer._thread == threading.get_ident():
        yield outer
        return
    folder = WorkFolder(path)
    if outer is not None:
        raise ConfigError(
            f"{path}: another thread of this program trains into this work folder: choose another work_dir"
        )
    _acquire_in_main_process(folder)
    with _guard:
        _held[key] = folder
    try:
        if is_main_process():
            remove_unfinished(path)
        yield folder
    except BaseException:
        folder._put_back()
        raise
    finally:
        with _guard:
            del _held[key]
        folder._release()


def _acquire_in_main_process(folder: WorkFolder) -> None:
    """Every process of a run gets the same answer."""
    problem: str | None = None
    if is_main_process():
        try:
            folder._acquire()
        except ConfigError as error:
            problem = str(error)
    problem = broadcast_object(problem)
    if problem is not None:
        raise ConfigError(problem)


def _why_no_locks(folder: Path) -> OSError | None:
    """The error of a file system without locks; None where a file of its own can be locked."""
    if fcntl is None:
        return None
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error if error.errno in _NO_LOCKS else None
    return None


def _misplaced(path: Path) -> str | None:
    """What is wrong with the kind of a thing in a work folder; None: nothing."""
    is_folder = path.name in RUN_FOLDERS
    expected = "a folder" if is_folder else "a file"
    try:
        if not path.is_symlink() and not path.exists():
            return None
        mode = path.stat().st_mode
    except FileNotFoundError:
        kind = "a link that leads nowhere"
    except OSError as error:
        kind = f"something else ({error.strerror or error})"
    else:
        if stat.S_ISDIR(mode) if is_folder else stat.S_ISREG(mode):
            return None
        kind = "a folder" if stat.S_ISDIR(mode) else "a file" if stat.S_ISREG(mode) else "a pipe or a device"
    return f"{path}: is {kind}, expected {expected} that the run writes: move it away, or choose another --work-dir"


def _warn_of_no_lock(path: Path, error: Exception) -> None:
    logger.warning("%s: this file system has no locks (%s): start no second run in this work folder", path, error)


def _this_process() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()}, since {since}"


def _holder(folder: Path) -> str:
    try:
        text = read_bytes(folder / HOLDER_FILE, 200).decode(errors="replace")
    except OSError:
        return "its process is not known"
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def _forget_locks_in_child() -> None:
    """A forked process must not keep its parent's lock: filelock before 4 leaves the file open in it."""
    for folder in _held.values():
        context = getattr(folder._lock, "_context", None)
        descriptor = getattr(context, "lock_file_fd", None)
        if descriptor is not None and int(filelock.__version__.split(".")[0]) < 4:
            with suppress(OSError):
                os.close(descriptor)
            context.lock_file_fd = None  # type: ignore[union-attr]
        folder._lock = None
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks_in_child)


# ---- an earlier run


def set_aside(work_dir: Path) -> Path | None:
    """Move the files of an earlier run into `work_dir/earlier_1` (or the next free number).

    Returns:
        Where they are now; None when there was no run.
    """
    if not any(os.path.lexists(work_dir / name) for name in SIGNS_OF_A_RUN):
        return None
    number = 1
    while (work_dir / f"earlier_{number}").exists():
        number += 1
    aside = work_dir / f"earlier_{number}"
    aside.mkdir()
    for name in RUN_FILES:
        if os.path.lexists(work_dir / name):
            (work_dir / name).rename(aside / name)
    sync_folder(aside)
    sync_folder(work_dir)
    return aside


def put_back(work_dir: Path, aside: Path) -> None:
    """Undo `set_aside`; what a run that failed before it began has written in the meantime is removed."""
    for name in RUN_FILES:
        kept, new = aside / name, work_dir / name
        if new.is_dir() and not new.is_symlink():
            shutil.rmtree(new)
        else:
            new.unlink(missing_ok=True)
        if os.path.lexists(kept):
            kept.rename(new)
    shutil.rmtree(aside)
    sync_folder(work_dir)


# ---- what killed processes left


def remove_unfinished(work_dir: Path) -> None:
    """Remove files and checkpoints that a killed process left half-written.

    Only under the lock: a living one writes such, too.
    """
    for folder in (work_dir, work_dir / "data"):
        for entry in _entries(folder):
            if _UNFINISHED.fullmatch(entry.name) and not entry.is_dir():
                entry.unlink(missing_ok=True)
    for name in remove_leftovers(work_dir / "checkpoints"):
        logger.info("%s, which a killed run left unfinished, was removed", work_dir / "checkpoints" / name)
    for entry in _entries(work_dir / "checkpoints"):  # as earlier versions named them
        match = _UNFINISHED_CHECKPOINT.fullmatch(entry.name)
        if match is not None and entry.is_dir() and not entry.is_symlink():
            _remove_unfinished_checkpoint(entry, match[1])
        elif _UNFINISHED.fullmatch(entry.name) and not entry.is_dir():
            entry.unlink(missing_ok=True)


def _remove_unfinished_checkpoint(entry: Path, name: str) -> None:
    """An older one of the same name may have stepped aside for it: when nothing took its place, it comes back."""
    old = entry / name
    if old.is_dir() and not (entry.parent / name).exists():
        old.rename(entry.parent / name)
    logger.info("removing %s, which a killed run left unfinished", entry)
    shutil.rmtree(entry, ignore_errors=True)


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
