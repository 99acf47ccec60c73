"""The errors that a user's data, files and configs can cause.

Every message says what was found, where (`file:line`, path or key), what was expected and the way
out, in one line. Wrong arguments in a program are plain `ValueError`/`TypeError`; everything below
is a `KinemaError`, which the command line prints as one line.
"""


class KinemaError(Exception):
    """Base of all errors that Kinema raises about a user's data, files and configs."""

    def __str__(self) -> str:
        # KeyError, a base of RegistryError, would show the repr of its argument.
        return str(self.args[0]) if len(self.args) == 1 else super().__str__()


class VideoError(KinemaError):
    """A video cannot be opened or a frame of it cannot be decoded. Names the file."""


class AnnotationError(KinemaError):
    """An annotation file is wrong. Names file and line."""


class StorageError(KinemaError):
    """There is no room for a file. Names the folder."""


class LoaderError(KinemaError):
    """A process that reads clips was killed, crashed, is stuck or cannot send what it read."""


class ProcessError(KinemaError):
    """Another process of a distributed run was lost. Names it."""


class ConfigError(KinemaError):
    """A config file, a key in it or an override is wrong. Names file or key."""


class ConfigProblemsError(ConfigError):
    """A config is wrong in several places.

    Args:
        problems: a line each.

    Attributes:
        problems: as given.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join([f"the config has {len(problems)} problems:", *(f"  {line}" for line in problems)]))
        self.problems = problems

    def __reduce__(self) -> tuple[type, tuple[list[str]]]:
        return ConfigProblemsError, (self.problems,)


class RegistryError(ConfigError, KeyError):
    """A part is not in its registry, or its name is taken."""


class PartArgumentError(ConfigError, TypeError):
    """A part was asked for with keywords that it does not have, or without one that it needs."""


class ConfigValueError(ConfigError, ValueError):
    """A part was given a value that it cannot use. Names the config's key."""


class SampleError(KinemaError, KeyError):
    """A transform needs a key that no transform before it wrote."""


class SampleValueError(KinemaError, ValueError):
    """A sample does not suit a transform: frames smaller than a crop, clips of another length.

    Names transform and file.
    """


class CheckpointError(KinemaError):
    """A checkpoint cannot be read, or does not fit the model."""


class TrainingError(KinemaError):
    """A training cannot continue: its numbers are no longer finite, or it makes no progress."""


class DumpError(KinemaError):
    """A file of scores is damaged, or does not go together with another."""


class MissingDependencyError(KinemaError, ImportError):
    """An optional library is not installed. Names the extra that brings it."""


class NotYetError(KinemaError, NotImplementedError):
    """A name of the OpenMMLab packages that Kinema does not have yet was used."""
