"""The three commands of README.md, from a folder of clips to a report and a timeline, print what README.md shows."""

import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from kinema.cli.main import app
from kinema.video import write_video

README = Path(__file__).parents[1] / "README.md"


def blocks() -> tuple[list[str], dict[str, list[str]]]:
    """The three commands, and the lines that README.md shows of each, by the command's name."""
    text = README.read_text(encoding="utf-8")
    section = text[text.index("## Your own clips") : text.index("## Code written for MMAction2")]
    listed = re.findall(r"```(bash|text)\n(.*?)```", section, re.DOTALL)
    commands = [line.partition("#")[0].strip() for line in listed[0][1].splitlines()]
    shown = {
        command.split()[1]: body.splitlines()
        for command, (kind, body) in zip(commands, listed[1:4], strict=True)
        if kind == "text"
    }
    return commands, shown


def moving_square(to_the_right: bool, seed: int, num_frames: int = 16) -> np.ndarray:
    """(num_frames, 48, 64, 3) uint8: a square on a made ground that goes to one side."""
    generator = np.random.default_rng(seed)
    ground = cv2.resize(generator.integers(0, 120, (6, 8, 3), dtype=np.uint8), (64, 48))
    frames = np.repeat(ground[None], num_frames, axis=0)
    top, start = generator.integers(4, 30), generator.integers(0, 10)
    for place, frame in enumerate(frames):
        left = start + 2 * place if to_the_right else 54 - start - 2 * place
        frame[top : top + 12, max(left, 0) : left + 10] = 255
    return frames


def skeleton(line: str) -> str:
    """What stays of a line whatever the numbers: its words before the first number, in single spaces."""
    return " ".join(re.split(r"\d", line, maxsplit=1)[0].split())


@pytest.mark.slow
def test_the_three_commands_print_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part, count in (("train", 16), ("val", 8)):
        lines = []
        for number in range(count):
            name, to_the_right = (("fight", False), ("noFight", True))[number % 2]
            path = tmp_path / "clips" / part / name / f"{name.removesuffix('ght').lower()}{number:03}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, moving_square(to_the_right, number + 100 * (part == "val")), 10)
            lines.append(f"{name}/{path.name} {number % 2}\n")
        (tmp_path / "clips" / f"{part}.txt").write_text("".join(lines))
    (tmp_path / "clips" / "classes.txt").write_text("fight\nnoFight\n")
    write_video(tmp_path / "long.mp4", np.concatenate([moving_square(k % 2 == 0, 50 + k) for k in range(8)]), 10)
    monkeypatch.chdir(tmp_path)
    commands, shown = blocks()
    assert [command.split()[1] for command in commands] == ["train", "report", "timeline"]
    for command in commands:
        result = CliRunner().invoke(app, shlex.split(command)[1:], env={"COLUMNS": "300"})
        assert result.exit_code == 0, result.output
        printed = [skeleton(line) for line in [*result.stderr.splitlines(), *result.stdout.splitlines()]]
        for line in shown[command.split()[1]]:
            # Warnings, confusions and the epoch that was best are of the clips at hand.
            if line.strip() and not line.startswith("*") and " taken for " not in line and "last acc" not in line:
                assert skeleton(line) in printed, f"{line!r} is not among what {command!r} printed: {result.output}"
    assert (tmp_path / "work" / "clips" / "report.html").stat().st_size > 10_000
