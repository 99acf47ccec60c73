import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from kinema.config import Config
from kinema.registry import VISBACKENDS
from kinema.runs import BaseVisBackend, LocalVisBackend


def test_a_backend_writes_images_figures_and_the_config(tmp_path: Path) -> None:
    backend = VISBACKENDS.build(dict(type="LocalVisBackend", save_dir=tmp_path / "vis"))
    assert isinstance(backend, LocalVisBackend)
    assert backend.experiment is backend
    assert not (tmp_path / "vis").exists()
    red = np.zeros((4, 6, 3), np.uint8)
    red[..., 0] = 255
    backend.add_image("red", red, step=2)
    assert cv2.imread(str(tmp_path / "vis" / "vis_image" / "red_2.png"))[0, 0].tolist() == [0, 0, 255]
    backend.add_scalar("acc", torch.tensor(0.5), step=1)
    backend.add_scalars({"acc": np.float32(0.75), "step": 7}, file_path="more.json")
    lines = [json.loads(line) for line in (tmp_path / "vis" / "scalars.json").read_text().splitlines()]
    assert lines == [{"acc": 0.5, "step": 1}, {"acc": 0.75, "step": 7}]
    assert json.loads((tmp_path / "vis" / "more.json").read_text()) == {"acc": 0.75, "step": 7}
    backend.add_config(Config({"a": 1}))
    assert Config.fromfile(tmp_path / "vis" / "config.py").a == 1
    backend.close()


def test_what_a_backend_cannot_write_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the file 'a.txt' must end with \.py"):
        LocalVisBackend(tmp_path, config_save_file="a.txt")
    backend = LocalVisBackend(tmp_path)
    with pytest.raises(TypeError, match="config must be a Config, got dict"):
        backend.add_config({})
    with pytest.raises(TypeError, match="an image must be a uint8 array, got float64"):
        backend.add_image("a", np.zeros((2, 2, 3)))
    with pytest.raises(TypeError, match="scalar_dict must be a dict, got list"):
        backend.add_scalars([])
    with pytest.raises(ValueError, match="scalars.json is the file of all figures: give file_path another name"):
        backend.add_scalars({"a": 1}, file_path="scalars.json")
    (tmp_path / "vis_image" / "a_0.png").mkdir(parents=True)
    with pytest.raises(OSError, match=r"a_0.png: the image cannot be written"):
        backend.add_image("a", np.zeros((2, 2, 3), np.uint8))


def test_a_users_backend_says_what_it_writes_with() -> None:
    backend = type("Own", (BaseVisBackend,), {})("folder")
    with pytest.raises(NotImplementedError, match="Own must define experiment"):
        assert backend.experiment
