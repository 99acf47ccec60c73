"""Configs: a run as nested dicts in a file, with inheritance and overrides."""

from kinema.config.config import Config
from kinema.config.dictionary import ConfigDict
from kinema.config.lazy import LazyObject, read_base
from kinema.config.overrides import parse_override

__all__ = ["Config", "ConfigDict", "LazyObject", "parse_override", "read_base"]
