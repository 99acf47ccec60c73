"""Small tools around torch, from `mmengine.utils.dl_utils`."""

import os
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from kinema.compat.parts.loggers import print_log

TORCH_VERSION = torch.__version__


def has_batch_norm(model: nn.Module) -> bool:
    """Whether a model has a layer that normalises by batch."""
    return any(isinstance(module, _BatchNorm) for module in model.modules())


def mmcv_full_available() -> bool:
    """Whether mmcv's compiled operators are there: Kinema needs none and has none."""
    return False


def is_rocm_pytorch() -> bool:
    """Whether torch is built for GPUs of AMD."""
    return torch.version.hip is not None


def is_jit_tracing() -> bool:
    """Whether torch traces at the moment."""
    return bool(torch.jit.is_tracing())


def jit(func: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
    """Decorator that other builds of torch compile by: the function stays as it is."""
    return func if func is not None else lambda function: function


def skip_no_elena(func: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of tests that another build of torch cannot run: the test stays as it is."""
    return func


def torch_meshgrid(*tensors: Tensor) -> tuple[Tensor, ...]:
    """`torch.meshgrid` with rows first."""
    return torch.meshgrid(*tensors, indexing="ij")


def tensor2imgs(
    tensor: Tensor,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    to_bgr: bool = True,
) -> list[np.ndarray]:
    """(N, C, H, W) normalised -> N images (H, W, C) of 0 to 255.

    Args:
        tensor: C is 1 or 3.
        mean: of each channel; default: 0.
        std: of each channel; default: 1.
        to_bgr: change RGB to BGR; needs C = 3.

    Raises:
        TypeError: `tensor` is none.
        ValueError: the numbers of channels do not fit.
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tensor must be a torch.Tensor, got {type(tensor).__name__}")
    channels = tensor.shape[1] if tensor.ndim == 4 else 0
    if channels not in (1, 3):
        raise ValueError(f"tensor must have the shape (N, 1 or 3, H, W), got {tuple(tensor.shape)}")
    means = np.array((0.0,) * channels if mean is None else mean, np.float32)
    stds = np.array((1.0,) * channels if std is None else std, np.float32)
    if (to_bgr and channels == 1) or len(means) != channels or len(stds) != channels:
        raise ValueError(f"{channels} channels need as many means and stds, and to_bgr needs 3: got {mean}, {std}")
    images = []
    for image in tensor:
        array = image.detach().cpu().numpy().transpose(1, 2, 0) * stds + means
        images.append(np.ascontiguousarray(array[..., ::-1] if to_bgr else array))
    return images


def set_multi_processing(mp_start_method: str = "fork", opencv_num_threads: int = 0, distributed: bool = False) -> None:
    """Set how processes start, and the threads of each.

    Args:
        mp_start_method: "fork", "spawn" or "forkserver"; for workers of torch, too.
        opencv_num_threads: of OpenCV; 0: it does without.
        distributed: there are several processes: `OMP_NUM_THREADS` and `MKL_NUM_THREADS` become 1
            unless they are set.
    """
    import cv2
    import torch.multiprocessing as multiprocessing

    multiprocessing.set_start_method(mp_start_method, force=True)
    cv2.setNumThreads(opencv_num_threads)
    if distributed:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")


def setup_multi_processes(cfg: Mapping[str, Any]) -> None:
    """`set_multi_processing` as a config of MMAction2 0.x says: `mp_start_method`, `opencv_num_threads`."""
    set_multi_processing(cfg.get("mp_start_method", "fork"), cfg.get("opencv_num_threads", 0), distributed=True)


class TimeCounter:
    """Measures a function or a `with` block, and logs the mean of all its runs.

    Args:
        log_interval: log after each so many runs.
        warmup_interval: runs at the start that do not count.
        with_sync: wait for CUDA before and after a run.
        tag: name in the log; counters of one tag are one. Default: the function's.
        logger: see `print_log`.

    Raises:
        ValueError: `log_interval` is below 1.
    """

    instance_dict: ClassVar[dict[str | None, "TimeCounter"]] = {}

    log_interval: int
    warmup_interval: int
    with_sync: bool
    tag: str | None
    logger: Any

    def __new__(
        cls,
        log_interval: int = 1,
        warmup_interval: int = 1,
        with_sync: bool = True,
        tag: str | None = None,
        logger: Any = None,
    ) -> "TimeCounter":
        if log_interval < 1:
            raise ValueError(f"log_interval must be 1 or more, got {log_interval}")
        if tag is not None and tag in cls.instance_dict:
            return cls.instance_dict[tag]
        counter = super().__new__(cls)
        counter.log_interval, counter.warmup_interval = log_interval, warmup_interval
        counter.with_sync, counter.tag, counter.logger = with_sync, tag, logger
        counter._count, counter._seconds, counter._started_at = 0, 0.0, 0.0
        cls.instance_dict[tag] = counter
        return counter

    _count: int
    _seconds: float
    _started_at: float

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: every call is a run."""
        self.tag = self.tag or function.__name__

        def measured(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return measured

    def __enter__(self) -> Self:
        self._synchronize()
        self._started_at = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._synchronize()
        self.print_time(time.perf_counter() - self._started_at)

    def _synchronize(self) -> None:
        if self.with_sync and torch.cuda.is_available():
            torch.cuda.synchronize()

    def print_time(self, elapsed: float) -> None:
        """Count a run of `elapsed` seconds, and log the mean when it is time."""
        self._count += 1
        if self._count < self.warmup_interval:
            return
        self._seconds += elapsed
        if self._count % self.log_interval == 0:
            counted = self._count - self.warmup_interval + 1 if self.warmup_interval > 0 else self._count
            mean = 1000 * self._seconds / counted
            print_log(f"[{self.tag}]-time per run averaged in the past {self._count} runs: {mean:.1f} ms", self.logger)
