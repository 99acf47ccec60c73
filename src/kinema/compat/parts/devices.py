"""Which kinds of devices there are: `mmengine.device`."""

import torch


def is_cuda_available() -> bool:
    """Whether there is CUDA."""
    return torch.cuda.is_available()


def is_mps_available() -> bool:
    """Whether there is Apple's Metal."""
    return torch.backends.mps.is_available()


def is_unsupported_device_available() -> bool:
    """Whether there is an NPU, MLU, MUSA or DIPU: Kinema runs on none of them."""
    return False


IS_CUDA_AVAILABLE = is_cuda_available()
IS_MPS_AVAILABLE = is_mps_available()
IS_MLU_AVAILABLE = IS_NPU_AVAILABLE = is_unsupported_device_available()


def get_device() -> str:
    """The kind of device to use: "cuda", "mps" or "cpu"."""
    return "cuda" if is_cuda_available() else "mps" if is_mps_available() else "cpu"


def get_max_cuda_memory(device: torch.device | None = None) -> int:
    """The most CUDA memory in use since the last call, in MiB; 0 without CUDA."""
    if not is_cuda_available():
        return 0
    megabytes = torch.cuda.max_memory_allocated(device) // (1024 * 1024)
    torch.cuda.reset_peak_memory_stats(device)
    return int(megabytes)
