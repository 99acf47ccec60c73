import logging

from kinema.logs import log_to_file, only_to_files, show_on_console, stop_logging


def test_records_go_to_the_stderr_of_the_moment(capsys):
    logger = logging.getLogger("kinema")
    show_on_console()
    show_on_console()
    logger.info("hello")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("hello") == 1
    show_on_console("WARNING")
    logger.info("silent")
    assert capsys.readouterr().err == ""


def test_details_can_be_kept_from_the_console(capsys):
    show_on_console("INFO")
    with only_to_files():
        logging.getLogger("kinema").info("detail")
    logging.getLogger("kinema").info("news")
    assert "detail" not in (shown := capsys.readouterr().err)
    assert "news" in shown


def test_records_go_to_a_file_until_it_is_closed(tmp_path):
    handler = log_to_file(tmp_path / "train.log")
    logging.getLogger("kinema").warning("written")
    stop_logging(handler)
    logging.getLogger("kinema").warning("not written")
    assert "written" in (tmp_path / "train.log").read_text()
    assert "not written" not in (tmp_path / "train.log").read_text()
