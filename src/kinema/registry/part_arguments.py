"""Whether a config names the keywords that a part has."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from kinema.errors import PartArgumentError
from kinema.openmmlab.keywords import needless_keywords
from kinema.registry.registrations import Part
from kinema.spelling import nearest


def check_arguments(part: Part, arguments: Mapping[str, Any], what: str) -> None:
    """Raise `PartArgumentError` when `part(**arguments)` would fail over a keyword, naming the real ones."""
    unknown, known = unknown_keywords(part, arguments)
    if unknown:
        near = nearest(unknown[0], known, count=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise PartArgumentError(
            f"{what} has no keyword {unknown[0]!r}{hint}; its keywords: {', '.join(known) or 'none'}"
        )
    missing = [name for name in known if known[name].default is inspect.Parameter.empty and name not in arguments]
    if missing:
        raise PartArgumentError(f"{what} needs {', '.join(missing)}; it was given {', '.join(arguments) or 'nothing'}")


def unknown_keywords(part: Part, names: Iterable[str]) -> tuple[list[str], dict[str, inspect.Parameter]]:
    """Those of `names` that are no keywords of a part, and the keywords that it has."""
    try:
        parameters = inspect.signature(part).parameters
    except (TypeError, ValueError):  # built-in types may have no signature
        return [], {}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = {name: parameter for name, parameter in parameters.items() if parameter.kind in kinds}
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return [], known
    accepted = known.keys() | needless_keywords(part).keys()
    return [name for name in names if name not in accepted], known
