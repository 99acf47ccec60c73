"""Backends of a visualizer that begin when they are first used."""

import pytest

from kinema.compat.parts.backend_environments import force_init_env
from kinema.runs import BaseVisBackend
from kinema.visualization import Visualizer


class Lines(BaseVisBackend):
    """Opens its list at the first figure."""

    def _init_env(self):
        self.lines = []

    @property
    @force_init_env
    def experiment(self):
        return self.lines

    @force_init_env
    def add_scalar(self, name, value, step=0, **kwargs):
        self.lines.append((name, value, step))


def test_a_backend_begins_once_with_the_first_figure(tmp_path):
    visualizer = Visualizer(vis_backends=[Lines(tmp_path)], save_dir=tmp_path)
    backend = visualizer.get_backend("Lines")
    assert not backend._env_initialized
    visualizer.add_scalar("loss", 0.5, 1)
    visualizer.add_scalar("loss", 0.25, 2)
    assert backend._env_initialized
    assert backend.experiment == [("loss", 0.5, 1), ("loss", 0.25, 2)]


def test_a_backend_without_a_beginning_is_named():
    class Bare:
        add_scalar = force_init_env(lambda self: None)

    with pytest.raises(AttributeError, match="Bare needs a method _init_env"):
        Bare().add_scalar()
