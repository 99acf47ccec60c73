"""Import a library that decodes video, or say in one line why it does not load."""

from types import ModuleType

from kinema.errors import MissingDependencyError
from kinema.real_modules import import_real

# Name of the backend -> its module, and what to install.
LIBRARIES = {
    "pyav": ("av", "av"),
    "opencv": ("cv2", "opencv-python-headless"),
    "torchcodec": ("torchcodec.decoders", "kinema[torchcodec]"),
    "decord": ("decord", "kinema[decord]"),
}


def load_library(name: str) -> ModuleType:
    """The module of one of `LIBRARIES`; of decord the real one, never the module that `kinema.compat` offers.

    Raises:
        MissingDependencyError: it does not load, with the reason.
    """
    module, package = LIBRARIES[name]
    try:
        return import_real(module)
    # torchcodec raises OSError or RuntimeError when FFmpeg's or CUDA's libraries are missing.
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingDependencyError(
            f"the video backend {name!r} is absent ({_reason(error, module)}): pip install '{package}'"
        ) from error


def reason_for_absence(name: str) -> str | None:
    """None when one of `LIBRARIES` loads, else the reason in one line."""
    module, _ = LIBRARIES[name]
    try:
        import_real(module)
    except (ImportError, OSError, RuntimeError) as error:
        return _reason(error, module)
    return None


def _reason(error: Exception, module: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        if error.name == module.partition(".")[0]:
            return "not installed"
        return f"needs {error.name}, which is not installed"
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
