"""Drawing on images, and where pictures and figures go: OpenMMLab's `Visualizer`.

Needs matplotlib only when something is drawn.
"""

from kinema.visualization.action_visualizer import ActionVisualizer
from kinema.visualization.visualizer import Visualizer

__all__ = ["ActionVisualizer", "Visualizer"]
