"""Names with characters that act on terminals, and terminals that lack characters of names: real processes."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import kinema.cli as commands
from command_line import kinema
from kinema.cli.output import can_show, print_line, print_lines, print_note, print_table

ESCAPES = "\x1b]0;PWNED\x07\x1b[31mred"


def kinema_bytes(*arguments, encoding="utf-8", module="kinema"):
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, timeout=900, env=environment)


@pytest.fixture
def clips(tmp_path, make_video):
    """Makes folders of one clip a class."""

    def make(*names):
        for number, name in enumerate(names):
            (tmp_path / "clips" / name).mkdir(parents=True)
            make_video(tmp_path / "clips" / name / f"{number}.mp4")
        return tmp_path / "clips"

    return make


def test_python_runs_the_package_itself():
    shown = kinema_bytes("--version")
    assert (shown.returncode, shown.stdout.split()[0]) == (0, b"kinema")


def test_only_one_file_prints():
    """Others print through `cli/output.py`, where names are made printable."""
    folder = Path(commands.__file__).parent
    assert "print(" in (folder / "output.py").read_text(encoding="utf-8")
    for file in sorted(folder.rglob("*.py")):
        if file.name == "output.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                allowed = file.name == "main.py" and called == "typer.echo"  # the version
                assert allowed or called not in ("print", "typer.echo", "sys.stdout.write", "sys.stderr.write"), file


def test_lines_and_tables_show_escapes(capsys):
    print_table(f"of {ESCAPES}", ["class", ESCAPES], [[ESCAPES, "1\n2"]])
    print_line(f"{ESCAPES}\n")
    print_lines(f"{ESCAPES}\nnext")
    print_note(ESCAPES)
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "\x07" not in shown.out + shown.err
    assert shown.out.count(r"\x1b]0;PWNED\x07\x1b[31mred") == 5
    assert r"1\n2" in shown.out
    assert "\nnext" in shown.out


def test_errors_show_escapes(tmp_path):
    shown = kinema("data", "info", tmp_path / ESCAPES)
    assert shown.returncode == 1
    assert "\x1b" not in shown.stderr
    assert r"\x1b]0;PWNED\x07\x1b[31mred" in shown.stderr
    traced = kinema("data", "info", tmp_path / ESCAPES, "--traceback")
    assert "\x1b" not in traced.stderr
    assert "Traceback" in traced.stderr


def test_an_error_is_never_as_long_as_a_file(tmp_path):
    (tmp_path / "train.txt").write_text("x" * 100_000)
    shown = kinema("data", "split", tmp_path / "train.txt", tmp_path / "out")
    assert shown.returncode == 1
    assert 3000 < len(shown.stderr) < 6000
    assert "characters) ... xxx" in shown.stderr
    assert not shown.stderr.rstrip().endswith("x")  # what to do stands at the end
    assert shown.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_terminal_without_the_characters_ends_no_command(clips):
    root = clips("wave", "動作")
    shown = kinema("data", "info", root, encoding="cp1252")
    assert shown.returncode == 0, shown.stderr
    assert r"\u52d5\u4f5c" in shown.stdout
    assert "###" in shown.stdout  # bars of characters that it has
    value = kinema("data", "info", root, "--json", encoding="cp1252")
    assert json.loads(value.stdout.encode("ascii"))["classes"] == ["wave", "動作"]
    missing = kinema_bytes("data", "info", root / "動", encoding="ascii")
    assert missing.returncode == 1
    assert b"\\u52d5" in missing.stderr


def test_bars_are_of_characters_that_the_output_has(monkeypatch):
    import io

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="cp1252"))
    assert not can_show("█")
    assert can_show("é")
