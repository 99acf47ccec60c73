"""The steps in which OpenMMLab's `Config` reads a file, under the private names that other code calls."""

import uuid
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from kinema.config.data_files import read_data
from kinema.config.dictionary import merged_value, raw_items
from kinema.config.python_files import PythonFile
from kinema.config.reading import text_of_config
from kinema.config.references import BASE_KEY, BASE_REFERENCE, inherited_value
from kinema.config.variables import with_environment, with_file_variables


class ReadingSteps:
    """Each step works on a file, or on what was read from one; `Config.fromfile` takes them all at once."""

    @staticmethod
    def _merge_a_into_b(a: Mapping[str, Any], b: Any, allow_list_keys: bool = False) -> Any:
        """`a` over `b`, which stays as it is."""
        return merged_value(b, a, list_keys=allow_list_keys)

    @staticmethod
    def _validate_py_syntax(filename: str | PathLike[str]) -> None:
        """Raise a ConfigError unless the file is Python."""
        PythonFile(text_of_config(Path(filename)), Path(filename))

    @staticmethod
    def _get_base_files(filename: str | PathLike[str]) -> list[str]:
        """The names in `_base_` of a file."""
        path = Path(filename)
        text = text_of_config(path)
        names = PythonFile(text, path).base_names() if path.suffix == ".py" else read_data(text, path).get(BASE_KEY, [])
        return [names] if isinstance(names, str) else list(names)

    @staticmethod
    def _substitute_predefined_vars(filename: str | PathLike[str], temp_config_name: str | PathLike[str]) -> None:
        """Write a copy in which the names of the file are filled in."""
        path = Path(filename)
        Path(temp_config_name).write_text(with_file_variables(text_of_config(path), path), encoding="utf-8")

    @staticmethod
    def _substitute_env_variables(
        filename: str | PathLike[str], temp_config_name: str | PathLike[str]
    ) -> dict[str, str]:
        """Write a copy in which variables of the environment are filled in, and return those."""
        path, used = Path(filename), dict[str, str]()
        Path(temp_config_name).write_text(with_environment(text_of_config(path), path, used), encoding="utf-8")
        return used

    @staticmethod
    def _pre_substitute_base_vars(
        filename: str | PathLike[str], temp_config_name: str | PathLike[str]
    ) -> dict[str, str]:
        """Write a copy with a name in the place of each `{{_base_.x.y}}`, and return the path `x.y` of each name."""
        text, paths = text_of_config(Path(filename)), dict[str, str]()
        for dotted in BASE_REFERENCE.findall(text):
            paths[f"_{dotted.replace('.', '_')}_{uuid.uuid4().hex[:6]}"] = dotted
        names = iter(paths)
        Path(temp_config_name).write_text(BASE_REFERENCE.sub(lambda _: f'"{next(names)}"', text), encoding="utf-8")
        return paths

    @staticmethod
    def _substitute_base_vars(cfg: Any, base_var_dict: Mapping[str, str], base_cfg: Mapping[str, Any]) -> Any:
        """`cfg` with the inherited values in the places of the names of `_pre_substitute_base_vars`."""
        if isinstance(cfg, Mapping):
            pairs = raw_items(cfg)
            return {key: ReadingSteps._substitute_base_vars(value, base_var_dict, base_cfg) for key, value in pairs}
        if type(cfg) in (list, tuple):
            return type(cfg)(ReadingSteps._substitute_base_vars(value, base_var_dict, base_cfg) for value in cfg)
        is_name = isinstance(cfg, str) and cfg in base_var_dict
        return inherited_value(base_cfg, base_var_dict[cfg], BASE_KEY) if is_name else cfg
