"""The check of commit messages, on messages and on a repository made here."""

import importlib.util
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_commits.py"
spec = importlib.util.spec_from_file_location("check_commits", SCRIPT)
check_commits = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check_commits)


@pytest.mark.parametrize(
    ("message", "paths", "expected"),
    [
        ("Keep windows inside an epoch\n\nThe last was cut short.", ["src/kinema/optim/wrapper.py"], []),
        ("Keep windows inside an epoch", ["docs/engine.md"], []),
        ("Keep windows inside an epoch", ["src/kinema/a.py"], ["it changes src, so a body says why"]),
        ("x" * 73, ["README.md"], ["the subject has 73 characters, at most 72 are allowed"]),
        ("Do this; do that", [], ["the subject joins topics by ';': make a commit of each"]),
        ("Do this\nand that", [], ["an empty line belongs between subject and body"]),
    ],
)
def test_what_a_message_lacks_is_named(message, paths, expected):
    assert check_commits.problems(message, paths) == expected


def test_commits_since_the_main_branch_are_looked_at(tmp_path, monkeypatch, capsys):
    def git(*arguments):
        author = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *author, *arguments], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(check_commits, "ROOT", tmp_path)
    git("init", "-b", "main")
    git("commit", "--allow-empty", "-m", "y" * 80)  # before: not looked at
    git("checkout", "-b", "topic")
    git("commit", "--allow-empty", "-m", "Say more")
    check_commits.main()
    assert "1 commit messages are as" in capsys.readouterr().out
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("")
    git("add", "src")
    git("commit", "-m", "Say less")
    with pytest.raises(SystemExit, match=r"'Say less': it changes src, so a body says why \(CONTRIBUTING"):
        check_commits.main()


def test_a_folder_without_history_has_nothing_to_check(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check_commits, "ROOT", tmp_path)
    check_commits.main()
    assert capsys.readouterr().out == "no commits to check\n"
