"""An image that matplotlib draws on, pixel by pixel."""

from typing import Any

import numpy as np

_MARGIN = 1e-2  # pixels: matplotlib rounds the size of a figure down


class Canvas:
    """A figure as large as the image that is set, without a window.

    Args:
        figure_options: of `matplotlib.figure.Figure`.
    """

    def __init__(self, figure_options: dict[str, Any]) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.figure: Any = Figure(**figure_options)
        self.agg = FigureCanvasAgg(self.figure)
        self.axes: Any = self.figure.add_subplot()
        self.figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
        self.width = self.height = 0  # pixels
        self.axes.axis(False)

    def set_image(self, image: np.ndarray) -> None:
        """Begin anew with an image, (H, W, 3) or (H, W) uint8."""
        image = image.astype(np.uint8)
        self.height, self.width = image.shape[:2]
        dpi = self.figure.get_dpi()
        self.figure.set_size_inches((self.width + _MARGIN) / dpi, (self.height + _MARGIN) / dpi)
        self.axes.cla()
        self.axes.axis(False)
        extent = (0, self.width, self.height, 0)
        self.axes.imshow(image, extent=extent, interpolation="none", cmap="gray" if image.ndim == 2 else None)

    def read(self) -> np.ndarray:
        """What is drawn, (H, W, 3) uint8 RGB."""
        self.agg.draw()
        return np.asarray(self.agg.buffer_rgba())[..., :3].copy()
