import importlib
import subprocess
import sys

import pytest


def test_a_segment_needs_no_torch():
    script = "import sys; from kinema.structures import Segment; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("package", ["kinema.structures", "kinema.inference"])
def test_every_public_name_is_there_and_no_other(package):
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name).__name__ == name
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'absent'"):
        _ = module.absent
