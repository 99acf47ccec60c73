import shutil

import pytest
from torch import nn

from kinema.diagnosis.beforehand import check_figure, check_room
from kinema.errors import ConfigError, StorageError

KNOWN = ["acc/top1", "acc/mean1", "loss"]


@pytest.mark.parametrize("name", [None, "auto", "acc/top1", "loss", "acc/rgb_top1"])
def test_figures_that_a_validation_can_have_pass(name):
    check_figure(name, KNOWN, "save_best")


@pytest.mark.parametrize("name", ["top1", "acc/top5", "f1", "rgb_top1"])
def test_figures_that_no_validation_has_are_refused(name):
    with pytest.raises(ConfigError, match=rf"save_best='{name}' is no metric .*: it has acc/top1, acc/mean1, loss"):
        check_figure(name, KNOWN, "save_best")
    check_figure(name, None, "save_best")  # metrics of the user's own do not say


def test_a_disk_without_room_for_the_weights_is_refused(tmp_path, monkeypatch):
    model = nn.Linear(1024, 1024)
    check_room(tmp_path, model)
    usage = shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
    with pytest.raises(StorageError, match=r"no room in .*: 1 MB are free, the weights .* alone are 4 MB.*--work-dir"):
        check_room(tmp_path, model)
