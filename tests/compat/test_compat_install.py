import sys
from pathlib import Path

import pytest

import kinema.compat
from kinema.real_modules import real_modules

REAL = 'kind = "real"\nfrom decord import inner\n'


@pytest.fixture
def real_decord(tmp_path: Path) -> None:
    """A package called decord that a fresh Python finds."""
    (tmp_path / "decord").mkdir()
    (tmp_path / "decord" / "__init__.py").write_text(REAL)
    (tmp_path / "decord" / "inner.py").write_text("place = __name__\n")


@pytest.mark.usefixtures("shim")
def test_installing_twice_is_harmless_and_uninstalling_takes_everything_out() -> None:
    import mmengine.fileio

    before = mmengine.fileio
    kinema.compat.install()
    import mmengine.fileio as again

    assert again is before
    assert before.__kinema__ is True
    kinema.compat.uninstall()
    assert not kinema.compat.is_installed()
    left = {name for name in sys.modules if name.partition(".")[0] in kinema.compat.PACKAGES}
    assert left <= set(real_modules)  # what another test imported past the shim comes back
    with pytest.raises(ModuleNotFoundError, match="No module named 'mmengine'"):
        import mmengine
    kinema.compat.uninstall()


def test_a_real_package_that_is_imported_already_is_an_error_with_the_way_out(run_python, real_decord) -> None:
    run = run_python("-c", "import decord, kinema.compat; kinema.compat.install()")
    assert run.returncode == 1
    assert "KinemaError: the real decord is already imported (from" in run.stderr
    assert "call kinema.compat.install() before the first import of decord" in run.stderr


def test_a_real_package_that_is_only_installed_is_hidden_until_uninstalled(run_python, real_decord) -> None:
    run = run_python(
        "-c",
        "import kinema.compat; kinema.compat.install()\n"
        "import decord; assert decord.__kinema__ and not hasattr(decord, 'kind')\n"
        "kinema.compat.uninstall()\n"
        "import decord; assert decord.kind == 'real'\n",
    )
    assert run.returncode == 0, run.stderr


def test_import_real_reaches_past_the_shim(run_python, real_decord) -> None:
    run = run_python(
        "-c",
        "from kinema.compat import import_real, uninstall\n"
        "from kinema.compat.finder import install_finder\n"
        "early = import_real('decord'); assert early.kind == 'real'\n"
        "install_finder()  # an early import_real does not stand in the way\n"
        "import decord; assert decord.__kinema__\n"
        "real = import_real('decord'); assert real is early and real.inner.place == 'decord.inner'\n"
        "assert import_real('decord.inner') is real.inner\n"
        "import decord as again; assert again is decord\n"
        "uninstall()\n"
        "import decord; assert decord is real\n",
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.usefixtures("shim")
def test_import_real_of_what_is_not_installed_is_the_usual_error_and_leaves_the_shim() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'mmaction'"):
        kinema.compat.import_real("mmaction")
    assert kinema.compat.import_real("json") is sys.modules["json"]
    import mmaction

    assert mmaction.__kinema__ is True
    assert kinema.compat.is_installed()


def test_importing_the_package_does_not_import_torch(run_python) -> None:
    run = run_python("-c", "import sys, kinema.compat; assert 'torch' not in sys.modules")
    assert run.returncode == 0, run.stderr
