"""Which process of a distributed run this is, by the environment that its launcher sets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kinema.errors import ConfigError

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")
PORT = 29500

# Rank, number of processes, rank on this machine, processes on this machine; Open MPI, MVAPICH,
# MPICH and Intel.
_MPI = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
)
_SLURM = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID")


@dataclass(frozen=True)
class Place:
    """The place of a process in a distributed run.

    Attributes:
        rank: number of the process, from 0.
        world_size: number of processes.
        local_rank: number of the process on its machine, which is that of its GPU.
        address: machine of process 0.
        port: where process 0 listens.
    """

    rank: int
    world_size: int
    local_rank: int
    address: str
    port: int

    def environment(self) -> dict[str, str]:
        """The variables that torchrun sets."""
        return {
            "RANK": str(self.rank),
            "WORLD_SIZE": str(self.world_size),
            "LOCAL_RANK": str(self.local_rank),
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.port),
        }


def place_of(environ: Mapping[str, str], launcher: str = "none") -> Place | None:
    """The place that the environment describes; None: there is only this process.

    Args:
        environ: the environment variables.
        launcher: "none" and "pytorch" read those of torchrun, "slurm" those of srun, "mpi" those of
            mpirun. `MASTER_ADDR` and `MASTER_PORT` are read first with each.

    Raises:
        ConfigError: no such launcher, or it did not start this process.
    """
    if launcher not in LAUNCHERS:
        raise ConfigError(f"launcher must be one of {', '.join(LAUNCHERS)}, got {launcher!r}")
    if launcher == "slurm":
        return _of_slurm(environ)
    if launcher == "mpi":
        return _of_mpi(environ)
    if "RANK" in environ and "WORLD_SIZE" in environ:
        rank, world_size, local_rank = (_number(environ, name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        return Place(rank, world_size, local_rank, environ.get("MASTER_ADDR", "127.0.0.1"), _port(environ, PORT))
    if launcher == "pytorch":
        raise ConfigError(
            "launcher='pytorch' needs RANK and WORLD_SIZE: start with torchrun --nproc-per-node N -m kinema train ..."
        )
    return None


def _of_slurm(environ: Mapping[str, str]) -> Place:
    nodes = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST") or environ.get("SLURM_NODELIST")
    if "SLURM_PROCID" not in environ or "SLURM_NTASKS" not in environ or not nodes:
        raise ConfigError(
            "launcher='slurm' needs SLURM_PROCID, SLURM_NTASKS and SLURM_JOB_NODELIST: start with srun, one task a GPU"
        )
    rank, world_size, local_rank = (_number(environ, name) for name in _SLURM)
    if "," not in environ.get("CUDA_VISIBLE_DEVICES", ","):
        local_rank = 0  # each task sees its own GPU only
    job = _number(environ, "SLURM_JOB_ID") + _number(environ, "SLURM_STEP_ID")
    # Jobs on one machine must not meet; below 32768, from where systems give out ports.
    port = _port(environ, 12_000 + job % 20_000)
    return Place(rank, world_size, local_rank, environ.get("MASTER_ADDR") or first_host(nodes), port)


def _of_mpi(environ: Mapping[str, str]) -> Place:
    names = next((names for names in _MPI if names[0] in environ and names[1] in environ), None)
    if names is None:
        raise ConfigError("launcher='mpi' needs the variables of mpirun, such as OMPI_COMM_WORLD_RANK: start with it")
    rank, world_size, local_rank, local_size = (_number(environ, name) for name in names)
    address = environ.get("MASTER_ADDR")
    if not address:
        if local_size != world_size:
            raise ConfigError("launcher='mpi' on several machines needs MASTER_ADDR, the machine of process 0")
        address = "127.0.0.1"
    return Place(rank, world_size, local_rank, address, _port(environ, PORT))


def first_host(nodes: str) -> str:
    """The first of Slurm's list of nodes: "gpu[03-05,9],login1" -> "gpu03"."""
    entry = re.match(r"(?:\[[^\]]*\]|[^,\[])+", nodes)
    return re.sub(r"\[([^,\-\]]*)[^\]]*\]", r"\1", entry[0] if entry else nodes)


def _port(environ: Mapping[str, str], default: int) -> int:
    return _number(environ, "MASTER_PORT") if environ.get("MASTER_PORT") else default


def _number(environ: Mapping[str, str], name: str) -> int:
    value = environ.get(name) or "0"
    if not value.isdecimal():
        raise ConfigError(f"the environment variable {name} must be a number, got {value!r}")
    return int(value)
