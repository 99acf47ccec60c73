"""`MMLogger` and `print_log` over Python's logging.

A logger of OpenMMLab's writes to stdout and to files of its own. Its records are in the log of
Kinema's run as well, and Kinema's records are in the files of the current one.
"""

import logging
import logging.handlers
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch

from kinema.distributed import get_rank
from kinema.instances import ManagerMixin
from kinema.printable import PrintableFormatter

_kinema = logging.getLogger("kinema")


class _Formatter(PrintableFormatter):
    """Time, name, level and message; an error with the place that it was logged at."""

    def __init__(self, datefmt: str) -> None:
        super().__init__("%(asctime)s - %(name)s - %(levelname)s - %(message)s", datefmt)
        place = "%(pathname)s - %(funcName)s - %(lineno)d"
        self._of_errors = PrintableFormatter(f"%(asctime)s - %(name)s - %(levelname)s - {place} - %(message)s", datefmt)

    def format(self, record: logging.LogRecord) -> str:
        return self._of_errors.format(record) if record.levelno == logging.ERROR else super().format(record)


class MMLogger(logging.Logger, ManagerMixin):
    """A logger with a name of its own, the newest being the current one. It writes to stdout.

    Args:
        name: by which `get_instance` knows it.
        logger_name: shown in its records.
        log_file: file that it writes to as well; in processes other than the first it has the
            number of the process in its name.
        log_level: lowest level that it writes; other processes than the first show errors only.
        file_mode: `"w"` replaces the file, `"a"` appends.
        distributed: all processes write files, not the first alone.
        file_handler_cfg: `type` names another handler of `logging.handlers`, such as
            "TimedRotatingFileHandler"; the rest are its arguments.

    Attributes:
        log_file: the file of this process, None where it writes none.

    Raises:
        ValueError: there is no such level, or `file_handler_cfg` is no handler's.
    """

    def __init__(
        self,
        name: str,
        logger_name: str = "mmengine",
        log_file: str | os.PathLike[str] | None = None,
        log_level: int | str = "INFO",
        file_mode: str = "w",
        distributed: bool = False,
        file_handler_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        logging.Logger.__init__(self, logger_name)
        ManagerMixin.__init__(self, name)
        rank = get_rank()
        console = logging.StreamHandler(stream=sys.stdout)
        console.setFormatter(_Formatter("%m/%d %H:%M:%S"))
        console.setLevel(log_level if rank == 0 else logging.ERROR)
        self.addHandler(console)
        self.log_file: str | None = None
        if log_file is not None and (rank == 0 or distributed):
            path = Path(log_file)
            if rank:
                path = path.with_name(f"{path.stem}_rank{rank}{path.suffix}")
            self.log_file = str(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            handler = _file_handler(path, file_mode, file_handler_cfg)
            handler.setFormatter(_Formatter("%Y/%m/%d %H:%M:%S"))
            handler.setLevel(log_level)
            self.addHandler(handler)
            if not any(isinstance(known, _ToCurrentFiles) for known in _kinema.handlers):
                _kinema.addHandler(_ToCurrentFiles())

    @classmethod
    def get_current_instance(cls) -> Self:
        """The logger that was made last; one called "mmengine" when there is none."""
        return super().get_current_instance() if cls._instance_dict else cls.get_instance("mmengine")

    @property
    def file_handlers(self) -> list[logging.Handler]:
        """The handlers that write its files."""
        return [handler for handler in self.handlers if isinstance(handler, logging.FileHandler)]

    def callHandlers(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Hand a record to its own handlers, and to the files of Kinema's run."""
        super().callHandlers(record)
        files = [handler for handler in _kinema.handlers if isinstance(handler, logging.FileHandler)]
        _emit(record, files)

    def setLevel(self, level: int | str) -> None:  # noqa: N802 - logging's name
        """Change its lowest level; that of its handlers remains."""
        super().setLevel(level)
        for logger in MMLogger._instance_dict.values():  # they are in no tree, whose manager would do so
            logger.__dict__.get("_cache", {}).clear()
        self.__dict__.get("_cache", {}).clear()


class _ToCurrentFiles(logging.Handler):
    """Hands Kinema's records to the files of the current `MMLogger`."""

    def emit(self, record: logging.LogRecord) -> None:
        if MMLogger._instance_dict:
            _emit(record, MMLogger.get_current_instance().file_handlers)


def _emit(record: logging.LogRecord, handlers: Sequence[logging.Handler]) -> None:
    for handler in handlers:
        if record.levelno >= handler.level:
            handler.handle(record)


def _file_handler(path: Path, mode: str, config: Mapping[str, Any] | None) -> logging.Handler:
    if config is None:
        return logging.FileHandler(path, mode, encoding="utf-8")
    options = dict(config)
    kind = options.pop("type", None)
    maker = getattr(logging.handlers, str(kind), None) or getattr(logging, str(kind), None)
    if not (isinstance(maker, type) and issubclass(maker, logging.FileHandler)):
        raise ValueError(f"file_handler_cfg: type must name a handler of logging that writes files, got {kind!r}")
    handler: logging.Handler = maker(**{"filename": path, "encoding": "utf-8", **options})
    return handler


def print_log(msg: object, logger: logging.Logger | str | None = None, level: int = logging.INFO) -> None:
    """Write a message.

    Args:
        msg: the message.
        logger: a logger; `"current"`; `"silent"` for nowhere; the name of an `MMLogger`; None for
            stdout.
        level: of the record.

    Raises:
        ValueError: there is no logger of that name.
        TypeError: `logger` is none of these.
    """
    if logger is None:
        sys.stdout.write(f"{msg}\n")
    elif isinstance(logger, logging.Logger):
        logger.log(level, msg)
    elif not isinstance(logger, str):
        raise TypeError(f"logger must be a logger, a name, 'current', 'silent' or None, got {type(logger).__name__}")
    elif logger == "current":
        MMLogger.get_current_instance().log(level, msg)
    elif logger != "silent":
        if not MMLogger.check_instance_created(logger):
            raise ValueError(f"MMLogger: {logger} has not been created!")
        MMLogger.get_instance(logger).log(level, msg)


def device_number() -> int:
    """The number of this process's GPU on the machine; 0 where there is none."""
    if not torch.cuda.is_available():
        return 0
    number = int(os.environ.get("LOCAL_RANK", "0"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return int(visible.split(",")[number]) if visible else number


def get_root_logger(log_file: str | Path | None = None, log_level: int | str = logging.INFO) -> logging.Logger:
    """The logger of `mmaction`, also into `log_file`."""
    if MMLogger.check_instance_created("mmaction"):
        return MMLogger.get_instance("mmaction")
    return MMLogger.get_instance("mmaction", logger_name="mmaction", log_file=log_file, log_level=log_level)
