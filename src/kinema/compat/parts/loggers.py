"""`MMLogger` and `print_log` over Python's logging.

Every logger here passes its records on to "kinema", so it shows where Kinema's do.
"""

import logging
import sys
from pathlib import Path
from typing import Any, ClassVar, Self

from kinema.printable import PrintableFormatter


class MMLogger(logging.Logger):
    """A logger with a name of its own, the one that was asked for last being the current one.

    Args:
        name: by which `get_instance` knows it.
        logger_name: shown in its records.
        log_file: file that it writes to as well.
        log_level: its lowest level.
        file_mode: `"w"` replaces the file, `"a"` appends.
    """

    _instances: ClassVar[dict[str, "MMLogger"]] = {}

    def __init__(
        self,
        name: str,
        logger_name: str = "mmengine",
        log_file: str | Path | None = None,
        log_level: int | str = "INFO",
        file_mode: str = "w",
    ) -> None:
        super().__init__(logger_name, log_level)
        self.parent = logging.getLogger("kinema")
        self._instance_name = name
        if log_file is not None:
            Path(log_file).parent.mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(log_file, mode=file_mode, encoding="utf-8")
            handler.setFormatter(PrintableFormatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
            self.addHandler(handler)

    @property
    def instance_name(self) -> str:
        """The name by which `get_instance` knows it."""
        return self._instance_name

    @classmethod
    def get_instance(cls, name: str, **settings: Any) -> "Self | MMLogger":
        """The logger called `name`, made at the first call.

        Args:
            name: of the logger.
            **settings: of a new one, see `MMLogger`.
        """
        logger = MMLogger._instances.pop(name, None) or cls(name, **settings)
        MMLogger._instances[name] = logger  # last in order: the current one
        return logger

    @classmethod
    def check_instance_created(cls, name: str) -> bool:
        """Whether there is a logger of that name."""
        return name in MMLogger._instances

    @classmethod
    def get_current_instance(cls) -> "Self | MMLogger":
        """The logger that was made or asked for last; one called "mmengine" when there is none."""
        return cls.get_instance(next(reversed(MMLogger._instances), "mmengine"))


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
    return MMLogger.get_instance("mmaction", logger_name="mmaction", log_file=log_file, log_level=log_level)
