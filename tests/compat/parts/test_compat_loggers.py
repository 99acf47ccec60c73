import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from kinema.compat.parts.loggers import MMLogger, _ToCurrentFiles, get_root_logger, print_log
from kinema.logs import log_to_file, stop_logging

kinema = logging.getLogger("kinema")


@pytest.fixture(autouse=True)
def _forget_loggers() -> Iterator[None]:
    before, handlers, level = dict(MMLogger._instance_dict), list(kinema.handlers), kinema.level
    MMLogger._instance_dict.clear()
    yield
    for logger in MMLogger._instance_dict.values():
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            if isinstance(handler, logging.FileHandler):
                handler.close()
    MMLogger._instance_dict.clear()
    MMLogger._instance_dict.update(before)
    kinema.handlers[:] = handlers
    kinema.setLevel(level)


def test_a_logger_writes_to_stdout_and_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "run.log"
    logger = MMLogger.get_instance("run", logger_name="mmaction", log_file=file)
    assert MMLogger.get_instance("run") is logger is MMLogger.get_current_instance()
    assert (logger.name, logger.instance_name, logger.parent, logger.level) == ("mmaction", "run", None, 0)
    assert (logger.log_file, MMLogger("silent").log_file) == (str(file), None)
    logger.info("step 1")
    logger.debug("not shown")
    logger.error("failed")
    assert capsys.readouterr().out.splitlines()[0].endswith(" - mmaction - INFO - step 1")
    first, last = file.read_text().splitlines()
    assert first.endswith(" - mmaction - INFO - step 1")
    assert last.endswith(" - failed")
    assert "test_compat_loggers.py - test_a_logger_writes_to_stdout_and_its_file" in last
    logger.setLevel("ERROR")
    assert not logger.isEnabledFor(logging.INFO)


def test_a_run_and_a_logger_share_their_files(tmp_path: Path) -> None:
    logger = MMLogger.get_instance("mine", log_file=tmp_path / "mine.log")
    handler = log_to_file(tmp_path / "run.log")
    logger.info("of the user")
    kinema.info("of the run")
    stop_logging(handler)
    assert sum(isinstance(known, _ToCurrentFiles) for known in kinema.handlers) == 1
    for name in ("mine.log", "run.log"):
        first, last = (tmp_path / name).read_text().splitlines()
        assert first.endswith("mmengine - INFO - of the user")
        assert last.endswith("kinema - INFO - of the run")


def test_another_handler_may_write_the_file(tmp_path: Path) -> None:
    config = dict(type="TimedRotatingFileHandler", when="MIDNIGHT")
    logger = MMLogger("a", log_file=tmp_path / "a.log", file_handler_cfg=config)
    assert type(logger.file_handlers[0]).__name__ == "TimedRotatingFileHandler"
    logger.file_handlers[0].close()
    with pytest.raises(ValueError, match="must name a handler of logging that writes files, got 'Elsewhere'"):
        MMLogger("a", log_file=tmp_path / "a.log", file_handler_cfg=dict(type="Elsewhere"))


def test_a_subclass_is_a_logger_of_its_own() -> None:
    class Own(MMLogger):
        pass

    logger = Own.get_instance("own", logger_name="shown")
    assert isinstance(logger, Own)
    assert not MMLogger.check_instance_created("own")
    assert logger.name == "shown"


def test_print_log_goes_where_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    print_log("to stdout")
    print_log("nowhere", logger="silent")
    assert capsys.readouterr().out == "to stdout\n"
    print_log("a warning", logger="current", level=logging.WARNING)
    print_log("by name", logger="mmengine")
    print_log("by object", logger=get_root_logger())
    assert get_root_logger() is get_root_logger()
    texts = [line.partition(" - ")[2] for line in capsys.readouterr().out.splitlines()]
    assert texts == ["mmengine - WARNING - a warning", "mmengine - INFO - by name", "mmaction - INFO - by object"]
    with pytest.raises(ValueError, match="MMLogger: unknown has not been created!"):
        print_log("text", logger="unknown")
    with pytest.raises(TypeError, match="logger must be a logger, a name, 'current', 'silent' or None, got int"):
        print_log("text", logger=3)
