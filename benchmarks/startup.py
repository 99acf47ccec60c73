"""How long `import kinema` and `kinema --help` take, against `import torch`.

The claim: the command line answers at once, because neither imports torch. Run: python
benchmarks/startup.py
"""

import statistics
import subprocess
import sys
import time

ROUNDS = 7
COMMANDS = {
    "import torch": [sys.executable, "-c", "import torch"],
    "import kinema": [sys.executable, "-c", "import kinema"],
    "kinema --help": [sys.executable, "-m", "kinema.cli", "--help"],
}


def seconds_of(command: list[str]) -> float:
    """Wall time of one run."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Alternate the commands, and print the medians and their ratios to `import torch`."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            times[name].append(seconds_of(command))
    base = statistics.median(times["import torch"])
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:15} {median:6.2f} s   {median / base:5.2f} of import torch")


if __name__ == "__main__":
    main()
