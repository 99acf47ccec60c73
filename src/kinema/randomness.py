"""Random numbers that can be repeated: seeding, one stream a sample, and the generators' states in a checkpoint.

Each process of a run has its own generators, so a checkpoint holds a list of states, one a process.
"""

import logging
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from kinema.distributed import gather_objects

State = dict[str, Any]

logger = logging.getLogger("kinema")


def seed_everything(seed: int, *, deterministic: bool = False) -> None:
    """Seed the global generators of Python, numpy and torch (all devices).

    Args:
        seed: in [0, 2**32).
        deterministic: also let torch use deterministic algorithms only; an operation that has none
            warns.

    Raises:
        ValueError: `seed` is out of range.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"the seed must be in [0, 2**32), which is what numpy takes, got {seed}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if deterministic:
        # cuBLAS reads this when its first handle is made.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(True, warn_only=True)


@contextmanager
def sample_randomness(seed: int, epoch: int, index: int, repeat: int = 0) -> Iterator[None]:
    """Seed the global Python, numpy and torch (CPU) generators, and restore them afterwards.

    Around the making of one sample it makes that sample independent of workers, processes and
    everything drawn before.

    Args:
        seed: the run's seed, 0 or more.
        epoch: number of the pass over the data, 0 or more.
        index: the sample's index in its dataset, 0 or more.
        repeat: how often the sample came before in this pass.

    Raises:
        ValueError: one of them is negative.
    """
    if min(seed, epoch, index, repeat) < 0:
        raise ValueError(f"seed, epoch, index and repeat must be 0 or more, got {seed=}, {epoch=}, {index=}, {repeat=}")
    with seeded(seed, epoch, index, *([repeat] if repeat else [])):
        yield


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Seed the global Python, numpy and torch (CPU) generators from whole numbers, and restore them afterwards.

    Args:
        key: of the stream, each 0 or more.
    """
    python_state, numpy_state, torch_state = (
        random.getstate(),
        np.random.get_state(),
        torch.default_generator.get_state(),
    )
    # torch.manual_seed would seed CUDA too, which a worker process must not touch.
    torch.default_generator.manual_seed(_seed_python_and_numpy(*key))
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.default_generator.set_state(torch_state)


def _seed_python_and_numpy(*key: int) -> int:
    """Seed their generators.

    Returns:
        A seed for torch.
    """
    words = np.random.SeedSequence(list(key)).generate_state(12)
    random.seed(words[:4].tobytes())
    np.random.seed(words[4:8])
    return int.from_bytes(words[8:10].tobytes(), "little")


# ---- states


def capture_state(device: torch.device | str | None = None) -> State:
    """The state of the global generators of this process: Python's, numpy's, torch's, and that of its device.

    Tensors and plain values, so that `torch.load(weights_only=True)` reads it.

    Args:
        device: that this process computes on; default: the current CUDA device where CUDA is in use
            already, else MPS where there is any.
    """
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached_gauss = np.random.get_state()
    return {
        "python": {"version": version, "words": torch.tensor(words), "gauss": gauss},
        "numpy": {
            "name": str(name),
            "keys": torch.from_numpy(np.asarray(keys, dtype=np.int64)),
            "position": int(position),
            "has_gauss": int(has_gauss),
            "cached_gauss": float(cached_gauss),
        },
        "torch": torch.default_generator.get_state(),
        "device": _device_state(torch.device(device) if device is not None else _device_in_use()),
    }


def _device_in_use() -> torch.device:
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _device_state(device: torch.device) -> State:
    """The generator of a device; torch's for the CPU is global, and not repeated here."""
    if device.type == "cuda":
        return {"type": "cuda", "state": torch.cuda.get_rng_state(device)}
    if device.type == "mps":
        return {"type": "mps", "state": torch.mps.get_rng_state()}
    return {"type": device.type, "state": None}


def restore_state(state: Mapping[str, Any], device: torch.device | str | None = None) -> None:
    """Put the generators where they were when `capture_state` was called.

    Args:
        state: what it returned.
        device: that this process computes on, with any number; default: see `capture_state`. The
            state of a device of another kind is left out, and the log says so.

    Raises:
        ValueError: `state` was not written by `capture_state`.
    """
    missing = {"python", "numpy", "torch", "device"} - set(state)
    if missing:
        raise ValueError(f"this is no state of the random generators: {', '.join(sorted(missing))} missing")
    python, numpy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    keys = numpy["keys"].numpy().astype(np.uint32)
    np.random.set_state((numpy["name"], keys, numpy["position"], numpy["has_gauss"], numpy["cached_gauss"]))
    torch.default_generator.set_state(state["torch"].cpu())
    own, kind = torch.device(device) if device is not None else _device_in_use(), state["device"]["type"]
    if kind != own.type:
        logger.warning(
            "the random numbers of this run continue on %s, but were drawn on %s: what the device draws, such as"
            " dropout, differs from there on",
            *(own.type, kind),
        )
    elif kind == "cuda":
        torch.cuda.set_rng_state(state["device"]["state"].cpu(), own)
    elif kind == "mps":
        torch.mps.set_rng_state(state["device"]["state"].cpu())


def gather_states(device: torch.device | str | None = None) -> list[State]:
    """The states of all processes in the order of their ranks; all of them must call this.

    Args:
        device: see `capture_state`.
    """
    return gather_objects(capture_state(device))


def restore_rank_state(
    states: Sequence[Mapping[str, Any]],
    rank: int,
    *,
    seed: int,
    step: int,
    device: torch.device | str | None = None,
) -> None:
    """Put the generators of a process where they were when `gather_states` was called.

    A process that the run did not have then is seeded from (seed, step, rank).

    Args:
        states: what `gather_states` returned.
        rank: number of this process.
        seed: of the run.
        step: of the run, which `states` were taken after.
        device: see `restore_state`.

    Raises:
        ValueError: a state was not written by `capture_state`.
    """
    if rank < len(states):
        restore_state(states[rank], device)
    else:
        torch.manual_seed(_seed_python_and_numpy(seed, step, rank))
