"""Which libraries that decode video load on this machine."""

import importlib

_MODULES = {"pyav": "av", "opencv": "cv2", "torchcodec": "torchcodec.decoders", "decord": "decord"}


def installed_backends() -> dict[str, str | None]:
    """Try to load every decoding library.

    Returns:
        Name of the library -> None when it loads, else the reason why it does not, in one line.
    """
    return {name: _reason_for_absence(module) for name, module in _MODULES.items()}


def _reason_for_absence(module_name: str) -> str | None:
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name == module_name.partition(".")[0]:
            return "not installed"
        return f"needs {error.name}, which is not installed"
    # torchcodec raises OSError or RuntimeError when FFmpeg's or CUDA's libraries are missing.
    except (ImportError, OSError, RuntimeError) as error:
        lines = str(error).strip().splitlines()
        return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
    if getattr(module, "__kinema__", False):
        return "hidden by Kinema's own module of that name"
    return None
