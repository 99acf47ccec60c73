"""Check the messages of the commits of this change: one topic, at most 72 characters, and a body that says why.

Looks at the commits since the merge base with the main branch, else since the last tag, else since
this script was added. A clone without history (depth 1) has nothing to look at, and says so.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUBJECT_LENGTH = 72
MAIN_BRANCHES = ("origin/main", "origin/HEAD", "main")
RULE = "CONTRIBUTING.md, Commits"


def git(*arguments: str) -> str:
    """Output of a git command in this repository; empty where it fails."""
    result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else ""


def start_of_change() -> str:
    """The commit before the first one to look at; empty when it is not known."""
    head = git("rev-parse", "HEAD")
    for branch in MAIN_BRANCHES:
        base = git("merge-base", "HEAD", branch)
        if base and base != head:
            return base
    added = git("log", "--diff-filter=A", "--format=%H", "--", "scripts/check_commits.py").split()
    return git("describe", "--tags", "--abbrev=0") or (f"{added[-1]}~1" if added else "")


def problems(message: str, paths: list[str]) -> list[str]:
    """Sentences on what a commit's message lacks.

    Args:
        message: subject, empty line, body.
        paths: the files that the commit changes.
    """
    subject, _, rest = message.strip().partition("\n")
    sentences = []
    if len(subject) > SUBJECT_LENGTH:
        sentences.append(f"the subject has {len(subject)} characters, at most {SUBJECT_LENGTH} are allowed")
    if ";" in subject:
        sentences.append("the subject joins topics by ';': make a commit of each")
    if rest and not rest.startswith("\n"):
        sentences.append("an empty line belongs between subject and body")
    if any(path.startswith("src/") for path in paths) and not rest.strip():
        sentences.append("it changes src, so a body says why")
    return sentences


def main() -> None:
    """Print a line for each problem, and exit with 1 when there are any."""
    start = start_of_change()
    commits = git("rev-list", "--no-merges", f"{start}..HEAD").split() if start else []
    lines = []
    for commit in reversed(commits):
        paths = git("diff-tree", "--no-commit-id", "--name-only", "-r", commit).split("\n")
        message = git("log", "-1", "--format=%B", commit)
        subject = message.partition("\n")[0]
        lines += [f"{commit[:9]} {subject!r}: {sentence} ({RULE})" for sentence in problems(message, paths)]
    if lines:
        sys.exit("\n".join(lines))
    print(f"{len(commits)} commit messages are as {RULE} asks" if commits else "no commits to check")


if __name__ == "__main__":
    main()
