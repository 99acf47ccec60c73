"""The page on the architecture: its picture has the floors of the code, and its example of a new family works."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from test_import_direction import ORDER, SEES_EVERYTHING

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"

spec = importlib.util.spec_from_file_location("draw_architecture", ROOT / "scripts" / "draw_architecture.py")
draw_architecture = importlib.util.module_from_spec(spec)
spec.loader.exec_module(draw_architecture)

TRAIN = """
import torch
from kinema.models import create_model, list_models

from kinema.models import count_operations
from kinema.models.zoo import card

assert "two_scales_16" in list_models("two*")
model = create_model("two_scales_16", num_classes=400)
report = count_operations(model, (1, 1, 3, 8, 32, 32))
assert abs(report.parameters / 1e6 - card("two_scales_16").params_millions) < 0.005, report.parameters
model = create_model("two_scales_16", num_classes=3)
clips = torch.zeros(2, 1, 3, 8, 32, 32)
assert model(clips, mode="tensor").shape == (2, 16, 4, 8, 8), model(clips, mode="tensor").shape
"""


def test_the_picture_has_every_floor() -> None:
    shown = [name for names, _ in draw_architecture.FLOORS for name in names]
    planned = {"serve"}
    assert shown == [name for name in ORDER if name not in planned] + ["recipes", "cli", "compat"]
    assert set(shown) >= SEES_EVERYTHING - {"__init__", "__main__"}
    assert (ROOT / "docs" / "images" / "architecture.svg").read_text(encoding="utf-8") == draw_architecture.draw()


def test_the_page_names_every_folder_and_every_file_beside_them() -> None:
    text = PAGE.read_text(encoding="utf-8")
    source = ROOT / "src" / "kinema"
    folders = [*source.glob("*/__init__.py"), *(source / "models").glob("*/__init__.py")]
    folders += (source / "models" / "backbones").glob("*/__init__.py")
    places = [f"{path.parent.name}/" for path in folders]
    places += [path.name for path in source.glob("*.py") if not path.name.startswith("__")]
    assert {"engine/", "files.py"} <= set(places)
    assert [place for place in places if f"`{place}`" not in text] == []


@pytest.mark.slow
def test_a_new_family_is_two_files(tmp_path: Path) -> None:
    files = re.findall(r"^`(models/\S+\.py)`:\n\n```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert [name.split("/")[1] for name, _ in files] == ["backbones", "zoo"]
    source = shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name, code in files:
        (source / "kinema" / name).write_text(code, encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(source)!r}){TRAIN}"],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
