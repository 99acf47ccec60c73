"""Small configs that would take hours or all memory: each is one clear error with the file's name, at once."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from kinema.config import Config
from kinema.config.yaml_dialect import LONGEST_NUMBER, MOST_VALUES, Loader
from kinema.errors import ConfigError

LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{one}: &{one} [{','.join(['*' + before] * 10)}]\n" for before, one in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGES = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{one}: &{one}\n  <<: [{','.join(['*' + before] * 10)}]\n"
    for before, one in zip("abcdefghi", "bcdefghij", strict=True)
)
SCRIPT = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
from kinema.config import Config
from kinema.errors import ConfigError
for name in sys.argv[1:]:
    try:
        Config.fromfile(name)
        print("read", name)
    except ConfigError as error:
        assert name in str(error) and len(str(error)) < 1000 and len(str(error).splitlines()) == 1, error
        print("error", name, str(error).rpartition(name)[2])
"""
BOMBS = {
    "laughs.yaml": (LAUGHS, "aliases make 12,345,679,021 values of 31"),
    "merges.yaml": (MERGES, "aliases make"),
    "itself.yaml": ("a: &a [*a]", "an alias leads back to itself"),
    "float.yaml": ("a: " + "1" * 1_000_000 + "e", None),
    "float_point.yaml": ("a: " + "1" * 1_000_000 + ".e", None),
    "sixty.yaml": ("a: 1" + ":1" * 1_000_000, "a number of 2,000,001 characters"),
    "sixty_float.yaml": ("a: 1" + ":1" * 1_000_000 + ".5", "a number of"),
    "digits.yaml": ("a: " + "1" * 5000, "a number of 5,000 characters"),
    "deep.yaml": ("a: " + "[" * 100_000, "nested too deep"),
    "deep.json": ('{"a": ' + "[" * 100_000, "nested too deep|no valid JSON"),
    "deep_closed.json": ('{"a": ' + "[" * 3000 + "]" * 3000 + "}", "nested too deep"),
    "deep.py": ("a = " + "[" * 5000 + "]" * 5000, "a.py|too many nested|nested too deep"),
    "deep_minus.py": ("a = " + "-" * 1_000_000 + "1", "nested too deep|no valid Python"),
    "digits.json": ('{"a": ' + "1" * 5000 + "}", "a number of too many digits"),
    "digits.py": ("a = " + "1" * 5000, "Exceeds the limit|digits"),
    "zero.yaml": ("a: \0", r"it holds the character '\x00'"),
    "zero.py": ("a = '\0'", "this is no valid Python: source code string cannot contain null bytes"),
    "surrogate.json": ('{"a": "\\ud800"}', r"the value '\ud800' holds half a character"),
    "surrogate.yaml": ('a: "\\ud800"', r"the value '\ud800' holds half a character"),
    "month.yaml": ("a: 2020-13-41", "month must be in 1..12"),
    "environment.yaml": ("{{$a:" * 200_000 + " " * 1_000_000, "no valid YAML|nested too deep"),
    "spaces.yaml": ("{{$a:" + " " * 3_000_000, "no valid YAML"),
    "references.yaml": ("a: " + "{{ _base_." * 200_000, "nested too deep|no valid YAML"),
    "large.yaml": ("a: 1\n" + "#" * (1 << 22), "expected a config of at most 4,194,304 bytes"),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes")
def test_wild_configs_end_in_time_with_one_line(tmp_path: Path) -> None:
    for name, (content, _) in BOMBS.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    shown = subprocess.run(
        [sys.executable, "-c", SCRIPT, *(str(tmp_path / name) for name in BOMBS)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout[-2000:] + shown.stderr[-2000:]
    lines = shown.stdout.splitlines()
    for (name, (_, expected)), line in zip(BOMBS.items(), lines, strict=True):
        if expected is None:
            assert line.startswith("read"), line
        else:
            assert line.startswith("error"), line
            assert any(one in line for one in expected.split("|")), (name, line)


@pytest.mark.parametrize(
    "name", ["laughs.yaml", "merges.yaml", "itself.yaml", "zero.yaml", "surrogate.json", "digits.json"]
)
def test_some_of_them_in_this_process(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(BOMBS[name][0])
    with pytest.raises(ConfigError, match=name):
        Config.fromfile(tmp_path / name)


def test_aliases_of_usual_configs_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "norm: &norm {mean: [1, 2], std: [3, 4]}\ntrain: *norm\nval: {<<: *norm, std: [5, 6]}\n"
    )
    config = Config.fromfile(tmp_path / "a.yaml")
    assert config.train == {"mean": [1, 2], "std": [3, 4]}
    assert config.val == {"mean": [1, 2], "std": [5, 6]}
    assert yaml.load("[1:30, 0x1f, 1_000, 1e-3, -1.5E+3, .5e1, 3.e2, 12e]", Loader) == [
        *(90, 31, 1000, 0.001, -1500.0, 5.0, 300.0, "12e")
    ]


def test_long_numbers_and_many_values_are_read_up_to_the_limits() -> None:
    assert yaml.load("1" * LONGEST_NUMBER, Loader) == int("1" * LONGEST_NUMBER)
    with pytest.raises(yaml.MarkedYAMLError, match="a number of 401 characters, at most 400 are read"):
        yaml.load("1" * (LONGEST_NUMBER + 1), Loader)
    some = f"a: &a [{','.join('x' * 100)}]\nb: &b [{','.join(['*a'] * 100)}]\nc: [{{}}]"
    count = (MOST_VALUES - 11000) // 10202
    assert len(yaml.load(some.format(",".join(["*b"] * count)), Loader)["c"]) == count
    with pytest.raises(yaml.MarkedYAMLError, match="aliases make .* at most 200,000 are read"):
        yaml.load(some.format(",".join(["*b"] * (count + 2))), Loader)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_config_that_is_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such config file"):
        Config.fromfile(tmp_path / "a.yaml")
    (tmp_path / "a.yaml").symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="zero: a config is a file of|there is no such config file"):
        Config.fromfile(tmp_path / "a.yaml")
