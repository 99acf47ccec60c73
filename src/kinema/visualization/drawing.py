"""Points, texts, lines, boxes, polygons and masks on an image."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from torch import Tensor

from kinema.distributed import main_process_only
from kinema.visualization.arguments import Positions, as_array, as_colors, as_masks, as_rgb, as_rows, per_shape
from kinema.visualization.canvas import Canvas

Color = str | tuple[int, ...]
Colors = Color | list[Color]
Styles = str | list[str]
Widths = float | list[float]


class Drawing:
    """An image and what is drawn on it.

    Positions are x, y in pixels, of the image's upper left corner. Colours are matplotlib's names or
    (R, G, B) of 0 to 255; colours, line styles, widths and fill colours are one for all shapes or a
    list with one a shape. Drawing methods return the object itself.
    """

    fig_save_cfg: Mapping[str, Any] = {"frameon": False}
    _canvas: Canvas | None = None

    def set_image(self, image: np.ndarray) -> None:
        """Begin with an image, (H, W, 3) or (H, W), 0 to 255, RGB.

        Raises:
            TypeError: it is no array.
        """
        if not isinstance(image, np.ndarray):
            raise TypeError(f"image must be an array, got {type(image).__name__}")
        if self._canvas is None:
            self._canvas = Canvas(dict(self.fig_save_cfg))
        self._canvas.set_image(image)

    def get_image(self) -> np.ndarray:
        """What is drawn, (H, W, 3) uint8 RGB."""
        return self._drawing.read()

    @property
    def _drawing(self) -> Canvas:
        if self._canvas is None:
            raise ValueError("there is no image to draw on: call set_image first")
        return self._canvas

    @property
    def ax_save(self) -> Any:
        """The matplotlib axes of the image."""
        return self._drawing.axes

    @property
    def width(self) -> int:
        """Of the image, in pixels."""
        return self._drawing.width

    @property
    def height(self) -> int:
        """Of the image, in pixels."""
        return self._drawing.height

    @main_process_only
    def draw_points(
        self,
        positions: Positions,
        colors: Colors = "g",
        marker: str | None = None,
        sizes: np.ndarray | Tensor | Sequence[float] | None = None,
    ) -> Self:
        """Draw points, (2,) or (K, 2)."""
        rows = as_rows("positions", positions, 2)
        self.ax_save.scatter(rows[:, 0], rows[:, 1], c=as_colors(colors), s=sizes, marker=marker)
        return self

    @main_process_only
    def draw_texts(
        self,
        texts: str | list[str],
        positions: Positions,
        font_sizes: int | list[int] | None = None,
        colors: Colors = "g",
        vertical_alignments: Styles = "top",
        horizontal_alignments: Styles = "left",
        font_families: Styles = "sans-serif",
        bboxes: dict[str, Any] | list[dict[str, Any]] | None = None,
        font_properties: Any = None,
    ) -> Self:
        """Draw texts, one a position, (2,) or (K, 2).

        Args:
            texts: the texts.
            positions: where they begin.
            font_sizes: in points; default: by the size of the image.
            colors: of the letters.
            vertical_alignments: of matplotlib.
            horizontal_alignments: of matplotlib.
            font_families: of matplotlib.
            bboxes: boxes behind the texts, as matplotlib describes them.
            font_properties: of matplotlib, one or one a text.
        """
        rows = as_rows("positions", positions, 2)
        count = len(rows)
        if (1 if isinstance(texts, str) else len(texts)) != count:
            raise ValueError(f"need one text a position, got {texts!r} for {count} positions")
        self._warn_outside(rows, "text")
        size = max(round(min(self.width, self.height) / 25), 1) if font_sizes is None else font_sizes
        columns = zip(
            rows.tolist(),
            per_shape("texts", texts, count),
            per_shape("font_sizes", size, count),
            per_shape("colors", as_colors(colors), count),
            per_shape("vertical_alignments", vertical_alignments, count),
            per_shape("horizontal_alignments", horizontal_alignments, count),
            per_shape("font_families", font_families, count),
            per_shape("bboxes", bboxes, count),
            per_shape("font_properties", font_properties, count),
            strict=True,
        )
        for (x, y), text, points, color, vertical, horizontal, family, box, properties in columns:
            self.ax_save.text(
                x,
                y,
                text,
                size=points,
                color=color,
                va=vertical,
                ha=horizontal,
                bbox=box,
                **({"family": family} if properties is None else {"fontproperties": properties}),
            )
        return self

    @main_process_only
    def draw_lines(
        self,
        x_datas: Positions,
        y_datas: Positions,
        colors: Colors = "g",
        line_styles: Styles = "-",
        line_widths: Widths = 2,
    ) -> Self:
        """Draw lines from (x, y) to (x, y); `x_datas` and `y_datas` are (2,) or (K, 2)."""
        from matplotlib.collections import LineCollection

        xs, ys = as_rows("x_datas", x_datas, 2), as_rows("y_datas", y_datas, 2)
        if xs.shape != ys.shape:
            raise ValueError(f"x_datas and y_datas must be of one shape, got {xs.shape} and {ys.shape}")
        lines = np.stack([xs, ys], axis=-1)
        self._warn_outside(lines.reshape(-1, 2), "line")
        self.ax_save.add_collection(
            LineCollection(list(lines), colors=as_colors(colors), linestyles=line_styles, linewidths=line_widths)
        )
        return self

    @main_process_only
    def draw_circles(
        self,
        center: Positions,
        radius: Positions,
        edge_colors: Colors = "g",
        line_styles: Styles = "-",
        line_widths: Widths = 2,
        face_colors: Colors = "none",
        alpha: float = 0.8,
    ) -> Self:
        """Draw circles around `center`, (2,) or (K, 2), of `radius`, (1,) or (K,), in pixels."""
        from matplotlib.patches import Circle

        centers, radii = as_rows("center", center, 2), as_array("radius", radius).reshape(-1)
        if len(radii) != len(centers):
            raise ValueError(f"need one radius a center, got {len(radii)} for {len(centers)}")
        corners = np.concatenate([centers - radii[:, None], centers + radii[:, None]])
        self._warn_outside(corners, "circle")
        shapes = [Circle(tuple(place), size) for place, size in zip(centers.tolist(), radii.tolist(), strict=True)]
        return self._add_patches(shapes, edge_colors, line_styles, line_widths, face_colors, alpha)

    @main_process_only
    def draw_bboxes(
        self,
        bboxes: Positions,
        edge_colors: Colors = "g",
        line_styles: Styles = "-",
        line_widths: Widths = 2,
        face_colors: Colors = "none",
        alpha: float = 0.8,
    ) -> Self:
        """Draw boxes, (4,) or (K, 4): left, top, right, bottom."""
        boxes = as_rows("bboxes", bboxes, 4)
        if (boxes[:, :2] > boxes[:, 2:]).any():
            raise ValueError(f"bboxes must be left, top, right, bottom, got {boxes.tolist()}")
        self._warn_outside(boxes.reshape(-1, 2), "bbox")
        corners = [boxes[:, list(places)] for places in ((0, 1), (2, 1), (2, 3), (0, 3))]
        polygons = list(np.stack(corners, axis=1))
        return self._add_polygons(polygons, edge_colors, line_styles, line_widths, face_colors, alpha)

    @main_process_only
    def draw_polygons(
        self,
        polygons: Positions | Sequence[Positions],
        edge_colors: Colors = "g",
        line_styles: Styles = "-",
        line_widths: Widths = 2,
        face_colors: Colors = "none",
        alpha: float = 0.8,
    ) -> Self:
        """Draw polygons, each (K, 2), a list of them or one."""
        several = polygons if isinstance(polygons, list | tuple) else [polygons]
        shapes = [as_rows("polygons", polygon, 2) for polygon in several]
        for shape in shapes:
            self._warn_outside(shape, "polygon")
        return self._add_polygons(shapes, edge_colors, line_styles, line_widths, face_colors, alpha)

    @main_process_only
    def draw_binary_masks(
        self, binary_masks: Positions, colors: Colors = "g", alphas: float | list[float] = 0.8
    ) -> Self:
        """Colour the pixels where a mask, (H, W) or (K, H, W) bool, is true; `alphas` is the colour's share."""
        image = self.get_image().astype(np.float64)
        masks = as_masks(binary_masks, *image.shape[:2])
        shares = per_shape("alphas", alphas, len(masks))
        for mask, color, share in zip(masks, per_shape("colors", colors, len(masks)), shares, strict=True):
            image[mask] = image[mask] * (1 - share) + np.array(as_rgb(color)) * share
        self._drawing.set_image(image.round())
        return self

    def _add_polygons(
        self,
        polygons: list[np.ndarray],
        edge_colors: Colors,
        line_styles: Styles,
        line_widths: Widths,
        face_colors: Colors,
        alpha: float,
    ) -> Self:
        from matplotlib.patches import Polygon

        shapes = [Polygon(polygon, closed=True) for polygon in polygons]
        return self._add_patches(shapes, edge_colors, line_styles, line_widths, face_colors, alpha)

    def _add_patches(
        self,
        shapes: list[Any],
        edge_colors: Colors,
        line_styles: Styles,
        line_widths: Widths,
        face_colors: Colors,
        alpha: float,
    ) -> Self:
        from matplotlib.collections import PatchCollection

        widths = line_widths if isinstance(line_widths, list) else [line_widths] * len(shapes)
        size = max(min(self.width, self.height), 1)
        self.ax_save.add_collection(
            PatchCollection(
                shapes,
                alpha=alpha,
                facecolors=as_colors(face_colors),
                edgecolors=as_colors(edge_colors),
                linestyles=line_styles,
                linewidths=[min(max(width, 1), size / 4) for width in widths],
            )
        )
        return self

    def _warn_outside(self, points: np.ndarray, shape: str) -> None:
        limits = np.array([self.width, self.height])
        if ((points < 0) | (points > limits)).any():
            text = f"The {shape} is out of bounds: the image has {self.width} x {self.height} pixels"
            warnings.warn(text, UserWarning, stacklevel=3)
