import numpy as np
import pytest

from kinema.errors import ConfigError


@pytest.mark.usefixtures("shim")
def test_configs_are_read_by_their_path_below_configs(tmp_path, monkeypatch) -> None:
    from mmaction.testing import get_recognizer_cfg, get_skeletongcn_cfg

    file = tmp_path / "configs" / "recognition" / "tsn" / "tsn_tiny.py"
    file.parent.mkdir(parents=True)
    file.write_text("model = dict(type='Recognizer2D')\n")
    (tmp_path / "tests").mkdir()
    monkeypatch.chdir(tmp_path / "tests")
    config = get_recognizer_cfg("tsn/tsn_tiny.py")
    config.model.type = "changed"
    assert get_recognizer_cfg("tsn/tsn_tiny.py").model.type == "Recognizer2D"
    with pytest.raises(ConfigError, match=r"no config skeleton/tsn/tsn_tiny.py: run in the folder"):
        get_skeletongcn_cfg("tsn/tsn_tiny.py")


@pytest.mark.usefixtures("shim")
def test_configs_of_an_installed_wheel_are_read_too(tmp_path, monkeypatch) -> None:
    from mmaction.testing import get_localizer_cfg

    file = tmp_path / "mmaction" / ".mim" / "configs" / "localization" / "bmn.py"
    file.parent.mkdir(parents=True)
    file.write_text("model = dict(type='BMN')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert get_localizer_cfg("bmn.py").model.type == "BMN"


@pytest.mark.usefixtures("shim")
def test_a_confusion_matrix_has_the_classes_that_occur() -> None:
    from mmaction.evaluation.functional import confusion_matrix

    assert confusion_matrix([0, 5, 5], [0, 7, 7]).tolist() == [[1, 0, 0], [0, 0, 0], [0, 2, 0]]
    shares = confusion_matrix(np.array([0, 5]), np.array([0, 7]), normalize="all")
    assert shares.tolist() == [[0.5, 0, 0], [0, 0, 0], [0, 0.5, 0]]


@pytest.mark.usefixtures("shim")
def test_small_functions_over_processes() -> None:
    import threading

    from mmaction.utils import get_random_string, get_shm_dir, get_thread_id

    assert len(get_random_string(7)) == 7
    assert get_random_string() != get_random_string()
    assert get_thread_id() == threading.get_ident()
    assert get_shm_dir() == "/dev/shm"
