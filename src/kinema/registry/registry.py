"""A registry: an index of parts of one kind by name, and how one is built from its config."""

import contextlib
import functools
import importlib
import inspect
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kinema.errors import RegistryError
from kinema.instances import ManagerMixin
from kinema.memory import collections_paused
from kinema.openmmlab.names import INSTEAD, NOT_YET, OTHER_PROJECTS, OWN_SCOPES, instead_of, not_yet, same_part
from kinema.openmmlab.overrides import uncalled_override
from kinema.real_modules import object_named
from kinema.registry.part_arguments import check_arguments
from kinema.registry.plugins import load_plugins
from kinema.registry.registrations import Entry, Part, PartsByName
from kinema.registry.scopes import default_scope, default_scope_of, import_registries_of, imports_names
from kinema.spelling import suggestion

logger = logging.getLogger("kinema")


class Registry:
    """Parts of one kind, by name.

    Args:
        name: what the parts are, used in messages ("transform").
        build_func: `build_func(cfg, *args, registry=self, **kwargs)` replaces the parent's, or
            `build_from_cfg`.
        parent: registry that is asked when this one does not have a name.
        scope: prefix under which the parent finds this registry's parts (`"mypackage"` ->
            `mypackage.Part`). The default is the top package of the calling module.
        locations: modules that are imported at the first look-up, so that the parts they define
            register themselves.

    Attributes:
        fallback: a registry whose own parts are found here too, after all others; None at first.

    Raises:
        TypeError: `parent` is no registry, or `scope` no text.
    """

    def __init__(
        self,
        name: str,
        build_func: Callable[..., Any] | None = None,
        parent: "Registry | None" = None,
        scope: str | None = None,
        locations: Sequence[str] = (),
    ) -> None:
        if not isinstance(parent, Registry | None):
            raise TypeError(f"parent of a registry must be a Registry, got {type(parent).__name__}: {parent!r}")
        if not isinstance(scope, str | None):
            raise TypeError(f"scope of a registry must be a str, got {type(scope).__name__}: {scope!r}")
        self.name = name
        inherited = build_from_cfg if parent is None else parent.build_func
        self.build_func: Callable[..., Any] = build_func or inherited
        self.parent = parent
        self.scope = scope if scope is not None else self.infer_scope()
        self.locations = list(locations)
        self.fallback: Registry | None = None
        self._children: dict[str, Registry] = {}
        self._own: dict[str, Entry] = {}
        self._users: dict[str, Entry] = {}
        self._libraries: dict[str, Callable[[str], Part]] = {}
        self._imported = False
        if parent is not None:
            parent._children[self.scope] = self

    # ---- registering

    def register_module(
        self,
        name: str | Sequence[str] | Part | None = None,
        force: bool = False,
        module: Part | None = None,
    ) -> Any:
        """Register a class or function; a decorator, or a call with `module=`.

        Args:
            name: one name or several; default: the part's own.
            force: replace a different part that has the name.
            module: the part, when not used as a decorator.

        Raises:
            RegistryError: another package's part has the name already.
            TypeError: an argument is of the wrong type.
        """
        if not isinstance(force, bool):
            raise TypeError(f"force must be a bool, got {type(force)}")
        caller = sys._getframe(1)
        place = (caller.f_globals.get("__name__", ""), caller.f_code.co_filename, caller.f_lineno)
        if name is not None and not isinstance(name, str) and callable(name):  # `@R.register_module` without brackets
            self._register(name, None, force, place)
            return name
        names = self._check_names(name)
        if module is not None:
            self._register(module, names, force, place)
            return module

        def decorator(part: Part) -> Part:
            self._register(part, names, force, place)
            return part

        return decorator

    def register_library(self, scope: str, part_of: Callable[[str], Part]) -> None:
        """Give parts of another library names here: `scope.NAME`.

        Args:
            scope: prefix of the names, such as `"transformers"`.
            part_of: the part that a full name stands for.
        """
        self._libraries[scope] = part_of

    @staticmethod
    def _check_names(name: Any) -> list[str] | None:
        if name is None:
            return None
        names = [name] if isinstance(name, str) else name
        if not (isinstance(names, Sequence) and all(isinstance(name, str) for name in names)):
            raise TypeError(f"name must be None, a str, or a sequence of str, but got {type(name)}")
        return list(names)

    def _register(self, part: Part, names: list[str] | None, force: bool, place: tuple[str, str, int]) -> None:
        if not (inspect.isclass(part) or inspect.isroutine(part) or isinstance(part, functools.partial)):
            raise TypeError(f"module must be a class or a function, but got {type(part)}")
        if isinstance(part, functools.partial) and not names:
            raise TypeError(f"{part!r} has no name of its own: register it with name=...")
        entry = Entry(part, *place)
        if not entry.is_own and inspect.isclass(part):
            self._require_called_overrides(part, entry)
        for name in names or [entry.definition.__name__]:
            table, other_table = (self._own, self._users) if entry.is_own else (self._users, self._own)
            present = table.get(name)
            if present is not None and not force and not entry.is_rerun_of(present):
                raise RegistryError(
                    f"{name} is already registered in {self.name} at {present.where}: rename the second one "
                    f"({entry.where}), or register it with force=True to replace the first"
                )
            table[name] = entry
            if present is None and name in other_table:
                user = self._users[name]
                logger.info("%s %r: using %s instead of the built-in one", self.name, name, user.where)

    def _require_called_overrides(self, part: type, entry: Entry) -> None:
        """A subclass that would run without the method that it overrides is refused."""
        override = uncalled_override(part)
        if override is not None:
            base, method = override
            raise RegistryError(
                f"{part.__name__} ({entry.where}) overrides {base}.{method}, which OpenMMLab's part calls and"
                f" Kinema's does not: override a public method that calls it, or derive from {base}'s base class"
            )

    # ---- looking up

    def get(self, key: str) -> Part | None:
        """The part called `key`, or None.

        `key` may carry a prefix: `kinema.X`, `mmaction.X`, `mypackage.X`; one of `register_library`.
        """
        if not isinstance(key, str):
            raise TypeError(f"the name of a {self.name} must be a str, got {type(key)}: {key!r}")
        part = self._registered(key)
        return object_named(key) if part is None and "." in key and imports_names() else part

    def _registered(self, key: str) -> Part | None:
        scope, name = self.split_scope_key(key)
        if scope is None:
            chosen = default_scope()
            is_meant = chosen is not None and (chosen not in OWN_SCOPES or self.scope in OWN_SCOPES)
            child = self._registry_of(str(chosen)) if is_meant else None
            part = None if child is None else child._find(name)
            return self._find(name) if part is None else part
        registry = self._registry_of(scope)
        if registry is None and (part_of := self._library(scope)) is not None:
            return part_of(key)
        if registry is None:
            same = same_part(self.root.name, key)
            return None if same is None else object_named(same) if "." in same else self._find(same)
        inner = self.split_scope_key(name)[0]
        if inner is None:
            return registry._find(name)
        if registry is self.root and scope in OWN_SCOPES and inner not in registry.children:
            return registry._find(name.rpartition(".")[2])  # `mmengine.hooks.EMAHook`, as lazy configs are written
        return registry._registered(name)

    def _registry_of(self, scope: str) -> "Registry | None":
        """The registry of this kind that `scope` names, in the whole family; None when there is none."""
        if scope == self.scope:
            return self
        root = self.root
        registry = self._search_child(scope)
        registry = root._search_child(scope) if registry is None else registry  # one without parts is false
        return root if registry is None and scope in OWN_SCOPES else registry

    def _library(self, scope: str) -> Callable[[str], Part] | None:
        root = self.root
        root.import_from_location()
        return root._libraries.get(scope)

    def _search_child(self, scope: str) -> "Registry | None":
        """The registry of that scope among this one and those below it."""
        queue = [self]
        while queue:
            registry = queue.pop(0)
            if scope == registry.scope:
                return registry
            queue.extend(registry.children.values())
        return None

    @property
    def root(self) -> "Registry":
        """The registry at the top of the family."""
        registry = self
        while registry.parent is not None:
            registry = registry.parent
        return registry

    def _get_root_registry(self) -> "Registry":
        """The name in OpenMMLab's registry."""
        return self.root

    @property
    def children(self) -> "dict[str, Registry]":
        """The registries whose parent this one is, by scope."""
        return self._children

    @staticmethod
    def split_scope_key(key: str) -> tuple[str | None, str]:
        """`"a.b.C"` -> `("a", "b.C")`, `"C"` -> `(None, "C")`."""
        scope, dot, name = key.partition(".")
        return (scope, name) if dot else (None, key)

    @staticmethod
    def infer_scope() -> str:
        """Top package of the module that called the caller: whoever creates a registry."""
        name: str = sys._getframe(2).f_globals.get("__name__", "")
        return name.partition(".")[0]

    @contextlib.contextmanager
    def switch_scope_and_registry(self, scope: str | None) -> "Iterator[Registry]":
        """Another default scope for a `with` block, which gets the registry of this kind that it names.

        Args:
            scope: None is the default scope as it is. Of a scope without a registry of this kind,
                the block gets this one.
        """
        with default_scope_of(scope):
            chosen = default_scope()
            if chosen is None or chosen in OWN_SCOPES:
                yield self
                return
            if scope is None:  # never one that the config of a part names
                import_registries_of(chosen)
            of_scope = self._registry_of(chosen)
            yield self if of_scope is None else of_scope

    def _find(self, name: str) -> Part | None:
        self.import_from_location()
        entry = self._users.get(name) or self._own.get(name)
        if entry is not None:
            return entry.part
        fallback = None if self.fallback is None else self.fallback.module_dict.get(name)
        return self.parent._find(name) if self.parent is not None else fallback

    def is_own(self, part: Part) -> bool:
        """True when `part` is one that Kinema itself registered, in the whole family."""
        return any(entry.part is part for entry in self.root._own.values())

    def add_location(self, module: str) -> None:
        """Import one more module, which registers its parts, at the next look-up."""
        if module not in self.locations:
            self.locations.append(module)
            self._imported = False

    def import_from_location(self) -> None:
        """Import the modules that hold this registry's parts, and the plug-ins, once."""
        if self._imported:
            return
        self._imported = True  # before the imports: they may look names up
        try:
            with collections_paused():
                for location in self.locations:
                    importlib.import_module(location)
        except BaseException:  # the next look-up must meet the same error, not an empty registry
            self._imported = False
            raise
        load_plugins()

    def names(self) -> list[str]:
        """All names, sorted."""
        self.import_from_location()
        return sorted({*self._own, *self._users})

    @property
    def module_dict(self) -> dict[str, Part]:
        """Name -> part, users' parts before built-in ones; what is popped is registered no more."""
        self.import_from_location()
        return PartsByName(self._own, self._users)

    _module_dict = module_dict

    def __contains__(self, key: str) -> bool:
        return self._registered(key) is not None

    def __len__(self) -> int:
        return len(self.names())

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __repr__(self) -> str:
        return f"Registry({self.name!r}, {len(self)} parts: {', '.join(self.names())})"

    # ---- building

    def build(self, cfg: Any, *args: Any, **kwargs: Any) -> Any:
        """Build the part that `cfg` describes.

        Args:
            cfg: `dict(type=name or part, keyword=value, ...)`.
            args: passed on to the build function.
            kwargs: defaults for keywords that `cfg` does not set; also as one dict `default_args`.

        Raises:
            RegistryError: no part has that name.
            PartArgumentError: the part has no such keyword, or misses one.
            TypeError: `cfg` is no dict.
        """
        return self.build_func(cfg, *args, registry=self, **kwargs)

    def unknown(self, key: str) -> RegistryError:
        """The error for a name that is not there, with the nearest names that are."""
        names = self.root.names() if self.parent is not None else []
        names = sorted({*self.names(), *names})
        name = key.rpartition(".")[2]
        if name in INSTEAD:
            return RegistryError(f"{key} is not in Kinema: {INSTEAD[name]}")
        if name in NOT_YET:
            return RegistryError(not_yet([key]))
        scope = key.partition(".")[0] if "." in key else ""
        if scope in OTHER_PROJECTS:
            return RegistryError(f"{key} is not in the {self.name} registry: {instead_of(scope, name, {}, self.name)}")
        return RegistryError(
            f"{key} is not in the {self.name} registry: {suggestion(name, names)} "
            "(a part of your own must be imported first, e.g. by custom_imports)"
        )


def build_from_cfg(
    cfg: Any,
    registry: Registry,
    default_args: Mapping[str, Any] | None = None,
    **defaults: Any,
) -> Any:
    """Build the part that `cfg` describes; what `Registry.build` calls. See there."""
    if not isinstance(registry, Registry):
        raise TypeError(f"registry must be a Registry, got {type(registry).__name__}: {registry!r}")
    if not isinstance(default_args, Mapping | None):
        raise TypeError(f"default_args must be a dict, got {type(default_args).__name__}: {default_args!r}")
    if not isinstance(cfg, Mapping):
        raise TypeError(
            f"the config of a {registry.name} must be a dict with 'type', got {type(cfg).__name__}: {cfg!r}"
        )
    arguments = {**(default_args or {}), **defaults, **cfg}
    scope = arguments.pop("_scope_", None)
    kind = arguments.pop("type", None)
    if kind is None:
        raise RegistryError(f"the config of a {registry.name} needs 'type', got only the keys {sorted(map(str, cfg))}")
    with registry.switch_scope_and_registry(scope) as chosen:
        part = chosen.get(kind) or registry.get(kind) if isinstance(kind, str) else kind
        if part is None:
            raise registry.unknown(str(kind))
        if not callable(part):
            raise TypeError(
                f"'type' of a {registry.name} must be a name, class or function, got {type(part).__name__}: {part!r}"
            )
        check_arguments(part, arguments, f"{registry.name} {getattr(part, '__name__', part)}")
        if inspect.isclass(part) and issubclass(part, ManagerMixin) and "name" in arguments:
            return part.get_instance(**arguments)  # any part of the program gets it by that name
        return part(**arguments)
