"""The releases whose names the shim serves, so that checks of the version in users' code pass."""

import re

from kinema.openmmlab import run_files

MMACTION, MMACTION_NUMBERS = "1.2.0", (1, 2, 0)
MMENGINE, MMENGINE_NUMBERS = run_files.MMENGINE, (0, 10, 7)
MMCV, MMCV_NUMBERS = "2.1.0", (2, 1, 0)
DECORD = "0.6.0"


def parse_version_info(version_str: str) -> tuple[int | str, ...]:
    """Numbers of a version: "1.3.0" -> (1, 3, 0), "2.0.0rc1" -> (2, 0, 0, "rc1")."""
    numbers: list[int | str] = []
    for part in version_str.split("."):
        number, _, candidate = part.partition("rc")
        if number.isdigit():
            numbers.append(int(number))
        if candidate:
            numbers.append(f"rc{candidate}")
    return tuple(numbers)


def parse_padded_version_info(version_str: str, length: int = 4) -> tuple[int | str, ...]:
    """Numbers of a version with zeros up to `length`, and which release before or after it this is.

    "1.3.0" -> (1, 3, 0, 0, 0, 0), "2.0.0rc1" -> (2, 0, 0, 0, "rc", 1).

    Raises:
        ValueError: the text does not start with a number.
    """
    match = re.match(r"v?(\d+(?:\.\d+)*)[-_.]?(?:(a|b|rc|post)[a-z]*[-_.]?(\d+))?", version_str.strip())
    if match is None:
        raise ValueError(f"failed to parse the version {version_str!r}: expected numbers with dots, such as '2.1.0'")
    numbers, kind, count = match.groups()
    release = [int(number) for number in numbers.split(".")][:length]
    return (*release, *[0] * (length - len(release)), kind or 0, int(count or 0))
