"""Build the wheel, install it into a fresh environment, and import every module of it there.

A package can work from its source tree and miss files once it is installed; only this finds out.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

IMPORT_ALL = """
import importlib, pkgutil, subprocess, sys
import kinema
assert "torch" not in sys.modules, "import kinema imported torch"
names = [module.name for module in pkgutil.walk_packages(kinema.__path__, "kinema.")]
names = [name for name in names if not name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
from kinema import compat
compat.install()
import mmaction.datasets.transforms, mmcv, mmengine.runner, decord
from kinema.datasets.annotations.known_sets import KNOWN_SETS, class_names_of_set
for known in KNOWN_SETS:
    assert len(class_names_of_set(known.title)) in (known.num_classes, 0 if known.file is None else -1), known.title
from pathlib import Path
from kinema.report import write_contact_sheet
page = write_contact_sheet(Path("page.html"), title="A page", note="", steps=[], clips=[])
assert "<h1>A page</h1>" in page.read_text()  # its template is in the wheel
print(f"{len(names)} modules of kinema {kinema.__version__} import from the wheel")
"""


def run(*command: str | Path, **options: object) -> None:
    """Run a command; end with its status when it fails."""
    result = subprocess.run([str(part) for part in command], check=False, **options)
    if result.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))}")


def main() -> None:
    """Build, install, import."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        run(*pip, "wheel", "--no-deps", "-w", folder, ROOT)
        (wheel,) = Path(folder).glob("kinema-*.whl")
        environment = Path(folder) / "venv"
        venv.create(environment, with_pip=True)
        python = environment / "bin" / "python"
        quiet = ["-m", "pip", "--disable-pip-version-check", "--quiet"]
        run(python, *quiet, "install", "-c", ROOT / "constraints.txt", wheel)
        run(python, "-c", IMPORT_ALL, cwd=folder)
        run(environment / "bin" / "kinema", "--version", cwd=folder)


if __name__ == "__main__":
    main()
