"""The state of an optimizer by names of parameters: it fits any order of groups, process or shard of the same model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from kinema.errors import CheckpointError


def by_name(packed: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """What `Optimizer.state_dict()` gives, with names in place of numbers.

    Args:
        packed: of `Optimizer.state_dict()`.
        names: of the parameters, in the order in which the optimizer numbers them.

    Returns:
        `state` by (name, key of the entry), in the order of the names, and `groups` with names as
        `params`.
    """
    return {
        "state": {
            (names[index], key): value
            for index in sorted(packed["state"])
            for key, value in packed["state"][index].items()
        },
        "groups": [
            {key: value for key, value in group.items() if key != "param_names"}
            | {"params": [names[index] for index in group["params"]]}
            for group in packed["param_groups"]
        ],
    }


def by_index(named: Mapping[str, Any], packed: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The reverse of `by_name`, for `Optimizer.load_state_dict()` of an optimizer.

    Args:
        named: of `by_name`.
        packed: of `Optimizer.state_dict()` of that optimizer.
        names: of its parameters, in the order in which it numbers them.

    Raises:
        CheckpointError: its parameters, or their groups, are not those of `named`.
    """
    groups = packed["param_groups"]
    expected = [[names[index] for index in group["params"]] for group in groups]
    saved = [list(group["params"]) for group in named["groups"]]
    if expected != saved:
        changed = set().union(*expected) ^ set().union(*saved)
        what = f"of other parameters: {listed(changed)}" if changed else "of parameters that are grouped otherwise"
        raise CheckpointError(
            f"the state of the optimizer is {what}; resume with the model and optimizer that the run began with"
        )
    _check_kind(*(set().union(*map(_settings, of)) for of in (named["groups"], groups)))
    _check_settings(named["groups"], groups)
    places = {name: index for index, name in enumerate(names)}
    state: dict[int, dict[str, Any]] = {}
    for (name, key), value in named["state"].items():
        state.setdefault(places[name], {})[key] = value
    own = [{**group, "params": now["params"]} for group, now in zip(named["groups"], groups, strict=True)]
    return {"state": state, "param_groups": own}


_SCHEDULED = ("initial_", "scheduled_")  # what schedules note beside a setting


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    """The optimizer's own settings of a group, with the values that it was given, before schedules changed them."""
    names = [name for name in group if name not in ("params", "param_names") and not name.startswith(_SCHEDULED)]
    settings = {name: group.get(f"initial_{name}", group[name]) for name in names}
    if "betas" in group and "initial_momentum" in group:
        settings["betas"] = (group["initial_momentum"], *group["betas"][1:])
    return settings


def _check_kind(saved: set[str], own: set[str]) -> None:
    """Versions of an optimizer add settings; another optimizer has others."""
    if saved - own and own - saved:
        raise CheckpointError(
            f"the state is that of another optimizer: it has {listed(saved - own)}, this one {listed(own - saved)}"
        )


def _check_settings(saved: Sequence[Mapping[str, Any]], groups: Sequence[Mapping[str, Any]]) -> None:
    for old, new in zip(saved, groups, strict=True):
        for name, like in new.items():
            if name not in old and _is_number(like):  # versions add switches
                raise CheckpointError(f"the state of the optimizer has no {name}")
        for name, value in old.items():
            like = new.get(name, 0.0 if name.startswith(_SCHEDULED) else None)
            if not _fits(value, like) or (name.removeprefix("initial_") == "lr" and not value >= 0):
                kind = "cannot be" if _is_number(value) or not _is_number(like) else "is no number, but"
                raise CheckpointError(f"{name} in the state of the optimizer {kind} {value!r:.80}")


def _fits(value: Any, like: Any) -> bool:
    """Can a setting that is now `like` have been `value`?"""
    if isinstance(like, bool):
        return isinstance(value, bool | None)  # None: torch chooses
    if isinstance(like, tuple):
        return isinstance(value, tuple | list) and len(value) == len(like) and all(map(_fits, value, like))
    return _is_number(value) or not _is_number(like)


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**63)


def check_entries(
    optimizer: Optimizer, entries: Mapping[tuple[str, str], Any], parameters: Mapping[str, Tensor]
) -> None:
    """Require what torch's own optimizers keep of each parameter: tensors of its size or of its rows, and counts.

    Args:
        optimizer: one of another's is left to its own `load_state_dict`.
        entries: by (name, key), whole.
        parameters: by name.

    Raises:
        CheckpointError: an entry is something else.
    """
    if not type(optimizer).__module__.startswith("torch.optim") or isinstance(optimizer, torch.optim.LBFGS):
        return
    kinds = {frozenset(entry) for entry in nested(entries).values()}
    if len(kinds) > 1 and not isinstance(optimizer, torch.optim.Adafactor) and len(optimizer.param_groups) == 1:
        raise CheckpointError(f"the state of the optimizer lacks {listed(max(kinds, key=len) - min(kinds, key=len))}")
    for (name, key), value in entries.items():
        if isinstance(value, Tensor) and value.numel() != 1:
            like = parameters.get(name, value)
            fits = key != "step" and like.is_complex() >= value.is_complex()
            fits &= isinstance(optimizer, torch.optim.Adafactor) or like.shape == value.shape
        elif value is None:
            fits = key == "momentum_buffer"
        else:
            fits = _is_number(value) and (key != "step" or value >= 0)
            fits &= isinstance(value, Tensor) or key in _NUMBERS
        if not fits:
            text = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else f"{value!r:.80}"
            raise CheckpointError(f"{key} of {name} in the state of the optimizer cannot be {text}")


_NUMBERS = ("step", "eta", "mu", "mu_product")  # which older versions of torch kept as numbers


def kept_settings(saved: Sequence[Mapping[str, Any]], groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Settings that a loaded state keeps, though the optimizer was built with others: `lr 0.1, not 0.01`, each once."""
    pairs = zip(map(_settings, saved), map(_settings, groups), strict=True)
    texts = [
        f"{name} {old[name]}, not {value}"
        for old, new in pairs
        for name, value in new.items()
        if name in old and isinstance(value, int | float | tuple) and old[name] != value
    ]
    return list(dict.fromkeys(texts))


def nested(flat: Mapping[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
    """Values by (name, key) -> by name, then by key."""
    entries: dict[str, dict[str, Any]] = {}
    for (name, key), value in flat.items():
        entries.setdefault(name, {})[key] = value
    return entries


def listed(names: Iterable[str]) -> str:
    """The first names of many, for a message."""
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")
