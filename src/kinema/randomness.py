"""Random numbers that can be repeated: seeding, one stream a sample, and the generators' state in a checkpoint."""

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

State = dict[str, Any]


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
    python_state, numpy_state, torch_state = (
        random.getstate(),
        np.random.get_state(),
        torch.default_generator.get_state(),
    )
    words = np.random.SeedSequence([seed, epoch, index, *([repeat] if repeat else [])]).generate_state(12)
    random.seed(words[:4].tobytes())
    np.random.seed(words[4:8])
    # torch.manual_seed would seed CUDA too, which a worker process must not touch.
    torch.default_generator.manual_seed(int.from_bytes(words[8:10].tobytes(), "little"))
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.default_generator.set_state(torch_state)


def capture_state() -> State:
    """The state of all global generators.

    Tensors and plain values, so that `torch.load(weights_only=True)` reads it.
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
        "cuda": list(torch.cuda.get_rng_state_all()) if torch.cuda.is_available() else [],
    }


def restore_state(state: Mapping[str, Any]) -> None:
    """Put the generators where `capture_state` found them; CUDA devices that are not there are left out.

    Raises:
        ValueError: `state` was not written by `capture_state`.
    """
    missing = {"python", "numpy", "torch", "cuda"} - set(state)
    if missing:
        raise ValueError(f"this is no state of the random generators: {', '.join(sorted(missing))} missing")
    python, numpy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(python["words"].tolist()), python["gauss"]))
    keys = numpy["keys"].numpy().astype(np.uint32)
    np.random.set_state((numpy["name"], keys, numpy["position"], numpy["has_gauss"], numpy["cached_gauss"]))
    torch.default_generator.set_state(state["torch"].cpu())
    for device, generator_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(generator_state.cpu(), device)
