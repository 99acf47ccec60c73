"""Lists of all parts of registries."""

import json
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import kinema.registry
from kinema.registry import Registry

logger = logging.getLogger("kinema")


def traverse_registry_tree(registry: Registry, verbose: bool = True) -> list[dict[str, Any]]:
    """The parts of every registry of a family.

    Args:
        registry: any of the family.
        verbose: log the number of parts of each.

    Returns:
        For each registry from the top down `num_modules`, `scope`, and the names of its parts by the
        folder of the module that defines them.
    """
    records = []
    queue = [registry.root]
    while queue:
        current = queue.pop(0)
        parts = current.module_dict
        record: dict[str, Any] = {"num_modules": len(parts), "scope": current.scope}
        for name, part in parts.items():
            folder = "/".join(getattr(part, "__module__", "").split(".")[:-1])
            record.setdefault(folder, []).append(name)
        records.append(record)
        if verbose:
            logger.info("%d modules in the %r registry of %s", len(parts), current.name, current.scope)
        queue = [*current.children.values(), *queue]
    return records


def count_registered_modules(save_path: str | None = None, verbose: bool = True) -> dict[str, Any]:
    """The parts of all registries.

    Args:
        save_path: folder into which `modules_statistic_results.json` is written; None: nothing is.
        verbose: log the numbers.

    Returns:
        `scan_date`, and `registries`: by name of the registry what `traverse_registry_tree` gives.
    """
    registries = {name: item for name, item in vars(kinema.registry).items() if isinstance(item, Registry)}
    result = {
        "scan_date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        "registries": {name: traverse_registry_tree(registries[name], verbose) for name in sorted(registries)},
    }
    if save_path is not None:
        file = Path(save_path, "modules_statistic_results.json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        logger.info("written: %s", file)
    return result
