"""`Visualizer`: draws on an image, and passes pictures and figures to its backends."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from kinema.distributed import main_process_only
from kinema.instances import ManagerMixin
from kinema.registry import VISBACKENDS, VISUALIZERS
from kinema.runs.local_backend import LocalVisBackend
from kinema.runs.trackers import name_of
from kinema.runs.vis_backend import BaseVisBackend
from kinema.visualization.drawing import Drawing
from kinema.visualization.feature_maps import draw_feature_map

logger = logging.getLogger("kinema")


@VISUALIZERS.register_module()
class Visualizer(ManagerMixin, Drawing):
    """Draws shapes on an image, and passes configs, pictures and figures to its backends.

    Only the main process does either.

    Args:
        name: of the instance.
        image: (H, W, 3) or (H, W) uint8 RGB to draw on.
        vis_backends: backends, or their configs; those of the same type need a `name` each.
        save_dir: their folder is `vis_data` in it.
        fig_save_cfg: of the matplotlib figure that is drawn on.
        fig_show_cfg: of the matplotlib figure in a window.

    Raises:
        ValueError: two backends have the same name.
        TypeError: `vis_backends` is no list of backends and their configs.
    """

    def __init__(
        self,
        name: str = "visualizer",
        image: np.ndarray | None = None,
        vis_backends: Sequence[Mapping[str, Any] | BaseVisBackend] | None = None,
        save_dir: str | os.PathLike[str] | None = None,
        fig_save_cfg: Mapping[str, Any] | None = None,
        fig_show_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(name)
        self._dataset_meta: Mapping[str, Any] | None = None
        self._vis_backends = _build_backends(vis_backends, save_dir)
        self.fig_save_cfg = dict(fig_save_cfg or {"frameon": False})
        self.fig_show_cfg = dict(fig_show_cfg or {"frameon": False})
        if image is not None:
            self.set_image(image)

    @classmethod
    def get_instance(cls, name: str, **kwargs: Any) -> Self:
        """The visualizer of that name, see `ManagerMixin.get_instance`; `Visualizer` knows those of subclasses, too."""
        visualizer = super().get_instance(name, **kwargs)
        Visualizer._instance_dict.setdefault(name, visualizer)
        return visualizer

    @property
    def dataset_meta(self) -> Mapping[str, Any] | None:
        """What the dataset says of itself, such as `classes`."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: Mapping[str, Any] | None) -> None:
        self._dataset_meta = dataset_meta

    draw_featmap = staticmethod(draw_feature_map)

    @main_process_only
    def show(
        self,
        drawn_img: np.ndarray | None = None,
        win_name: str = "image",
        wait_time: float = 0.0,
        continue_key: str = " ",
        backend: Literal["matplotlib"] = "matplotlib",
    ) -> None:
        """Show an image in a window, where there is a screen.

        Args:
            drawn_img: (H, W, 3) uint8 RGB; default: what is drawn.
            win_name: title of the window.
            wait_time: seconds to show it; 0: until `continue_key` or the window's end.
            continue_key: key that ends it.
            backend: OpenCV's windows are not there: Kinema installs it without.

        Raises:
            ValueError: another backend.
        """
        if backend != "matplotlib":
            raise ValueError(f"windows are matplotlib's: backend must be 'matplotlib', got {backend!r}")
        from matplotlib import pyplot

        if pyplot.get_backend().lower() == "agg":
            logger.warning("there is no screen to show %r on: matplotlib has no window system here", win_name)
            return
        image = self.get_image() if drawn_img is None else drawn_img
        figure = pyplot.figure(win_name, **self.fig_show_cfg)
        axes = figure.add_subplot()
        axes.axis(False)
        axes.imshow(image)
        if wait_time > 0:
            pyplot.pause(wait_time)
        else:
            ended: list[Any] = []
            figure.canvas.mpl_connect("close_event", ended.append)
            figure.canvas.mpl_connect(
                "key_press_event", lambda event: ended.extend([event] * (event.key == continue_key))
            )
            while not ended:
                pyplot.pause(0.05)
        pyplot.close(figure)

    # ---- backends

    def get_backend(self, name: str) -> Any:
        """The backend of that name."""
        return self._vis_backends.get(name)

    @main_process_only
    def add_config(self, config: Any, **kwargs: Any) -> None:
        """Record the config of the run."""
        for backend in self._vis_backends.values():
            backend.add_config(config, **kwargs)

    @main_process_only
    def add_graph(self, model: Any, data_batch: Any, **kwargs: Any) -> None:
        """Record the graph of the model."""
        for backend in self._vis_backends.values():
            backend.add_graph(model, data_batch, **kwargs)

    @main_process_only
    def add_image(self, name: str, image: np.ndarray, step: int = 0) -> None:
        """Record an image, (H, W, 3) uint8 RGB."""
        for backend in self._vis_backends.values():
            backend.add_image(name, image, step)

    @main_process_only
    def add_scalar(self, name: str, value: Any, step: int = 0, **kwargs: Any) -> None:
        """Record a figure."""
        for backend in self._vis_backends.values():
            backend.add_scalar(name, value, step, **kwargs)

    @main_process_only
    def add_scalars(
        self, scalar_dict: Mapping[str, Any], step: int = 0, file_path: str | None = None, **kwargs: Any
    ) -> None:
        """Record figures by name; `file_path` is a further file for backends that write files."""
        for backend in self._vis_backends.values():
            backend.add_scalars(scalar_dict, step, file_path, **kwargs)

    @main_process_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: Any = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        step: int = 0,
    ) -> None:
        """Draw a data sample: a subclass says how."""

    def close(self) -> None:
        """Close the backends."""
        for backend in self._vis_backends.values():
            backend.close()


def _build_backends(
    backends: Sequence[Mapping[str, Any] | BaseVisBackend] | None, save_dir: str | os.PathLike[str] | None
) -> dict[str, Any]:
    """Backends by name: the one of their config, or that of their class."""
    if backends is None:
        return {}
    if not isinstance(backends, list | tuple):
        raise TypeError(f"vis_backends must be a list of backends or configs, got {type(backends).__name__}")
    folder = None if save_dir is None else str(Path(save_dir) / "vis_data")
    built: dict[str, Any] = {}
    for entry in backends:
        name, backend = None, entry
        if isinstance(entry, Mapping):
            config = dict(entry)
            name = config.pop("name", None)
            if folder is not None:
                config.setdefault("save_dir", folder)
            elif config.get("save_dir") is None and name_of(config.get("type")) == LocalVisBackend.__name__:
                logger.warning("LocalVisBackend is left out: the visualizer has no save_dir")
                continue
            backend = VISBACKENDS.build(config)
        if not callable(getattr(backend, "add_scalars", None)):
            raise TypeError(f"a backend needs the methods of BaseVisBackend, {type(backend).__name__} has none")
        name = name or type(backend).__name__
        if name in built:
            raise ValueError(f"two backends are called {name}: give each a name of its own, dict(type=..., name=...)")
        built[name] = backend
    return built
