"""`MMLogger` and `print_log` over Python's logging.

Every logger here is below "kinema", so it shows where Kinema's do.
"""

import logging
import sys
from pathlib import Path

from kinema.printable import PrintableFormatter


class MMLogger:
    """Named loggers, the one that was asked for last being the current one.

    The instances are `logging.Logger`s.
    """

    _names: dict[str, str] = {}  # noqa: RUF012 - one table for the process, as in the original

    @classmethod
    def get_instance(
        cls,
        name: str,
        logger_name: str = "mmengine",
        log_file: str | Path | None = None,
        log_level: int | str = "INFO",
        file_mode: str = "w",
    ) -> logging.Logger:
        """The logger called `name`, made at the first call.

        Args:
            name: of the logger.
            logger_name: shown in its records, for a new one.
            log_file: file that a new one writes to as well.
            log_level: lowest level of a new one.
            file_mode: `"w"` replaces the file, `"a"` appends.
        """
        is_new = name not in cls._names
        shown = cls._names.pop(name, logger_name)
        cls._names[name] = shown  # last in order: the current one
        logger = logging.getLogger(f"kinema.{name}")
        if is_new:
            logger.setLevel(log_level)
            if log_file is not None:
                Path(log_file).parent.mkdir(parents=True, exist_ok=True)
                handler = logging.FileHandler(log_file, mode=file_mode, encoding="utf-8")
                handler.setFormatter(PrintableFormatter(f"%(asctime)s - {shown} - %(levelname)s - %(message)s"))
                logger.addHandler(handler)
        return logger

    @classmethod
    def check_instance_created(cls, name: str) -> bool:
        """Whether there is a logger of that name."""
        return name in cls._names

    @classmethod
    def get_current_instance(cls) -> logging.Logger:
        """The logger that was made or asked for last; one called "mmengine" when there is none."""
        return cls.get_instance(next(reversed(cls._names), "mmengine"))


def print_log(msg: object, logger: logging.Logger | str | None = None, level: int = logging.INFO) -> None:
    """Write a message.

    Args:
        msg: the message.
        logger: a logger; `"current"`; `"silent"` for nowhere; the name of an `MMLogger`; None for
            stdout.
        level: of the record.

    Raises:
        ValueError: there is no logger of that name.
    """
    if logger is None:
        sys.stdout.write(f"{msg}\n")
    elif isinstance(logger, logging.Logger):
        logger.log(level, msg)
    elif logger == "current":
        MMLogger.get_current_instance().log(level, msg)
    elif logger != "silent":
        if not MMLogger.check_instance_created(logger):
            raise ValueError(f"MMLogger: {logger} has not been created!")
        MMLogger.get_instance(logger).log(level, msg)


def get_root_logger(log_file: str | Path | None = None, log_level: int | str = logging.INFO) -> logging.Logger:
    """The logger of `mmaction`, also into `log_file`."""
    return MMLogger.get_instance("mmaction", "mmaction", log_file=log_file, log_level=log_level)
