import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from kinema.compat.parts.loggers import MMLogger, get_root_logger, print_log


@pytest.fixture(autouse=True)
def _forget_loggers(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    before = dict(MMLogger._instances)
    MMLogger._instances.clear()
    caplog.set_level(logging.INFO, logger="kinema")
    yield
    for logger in MMLogger._instances.values():
        for handler in list(logger.handlers):
            handler.close()
            logger.removeHandler(handler)
    MMLogger._instances.clear()
    MMLogger._instances.update(before)


def test_a_logger_writes_to_its_file_and_below_kinema(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logger = MMLogger.get_instance("run", logger_name="mmaction", log_file=tmp_path / "new" / "run.log")
    assert MMLogger.get_instance("run") is logger is MMLogger.get_current_instance()
    logger.info("step 1")
    assert (tmp_path / "new" / "run.log").read_text().endswith(" - mmaction - INFO - step 1\n")
    assert caplog.records[-1].name == "mmaction"
    assert isinstance(logger, MMLogger)
    assert logger.instance_name == "run"


def test_a_subclass_is_a_logger_of_its_own() -> None:
    class Own(MMLogger):
        pass

    logger = Own.get_instance("own", logger_name="shown")
    assert isinstance(logger, Own)
    assert MMLogger.get_instance("own") is logger
    assert logger.name == "shown"


def test_print_log_goes_where_it_is_told(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    print_log("to stdout")
    print_log("nowhere", logger="silent")
    assert capsys.readouterr().out == "to stdout\n"
    assert not caplog.records
    print_log("a warning", logger="current", level=logging.WARNING)
    print_log("by name", logger="mmengine")
    print_log("by object", logger=get_root_logger())
    assert [(record.name, record.levelname, record.message) for record in caplog.records] == [
        ("mmengine", "WARNING", "a warning"),
        ("mmengine", "INFO", "by name"),
        ("mmaction", "INFO", "by object"),
    ]
    with pytest.raises(ValueError, match="MMLogger: unknown has not been created!"):
        print_log("text", logger="unknown")
