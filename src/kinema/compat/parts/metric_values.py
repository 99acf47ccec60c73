"""`get_metric_value` of `mmengine.evaluator`."""

from collections.abc import Mapping
from typing import Any


def get_metric_value(indicator: str, metrics: Mapping[str, Any]) -> Any:
    """The number of a name, with or without its prefix: `"mAP"` is `"coco/mAP"` where no other ends so.

    Raises:
        ValueError: there is no such number, or there are several.
    """
    if "/" in indicator or indicator in metrics:
        matches = [indicator] if indicator in metrics else []
    else:
        matches = [name for name in metrics if name.split("/")[-1] == indicator]
    if len(matches) != 1:
        problem = f"{', '.join(matches)} all end so" if matches else f"there are {', '.join(metrics) or 'none'}"
        raise ValueError(f"no single metric is called {indicator!r}: {problem}")
    return metrics[matches[0]]
