import pytest

from kinema.errors import ConfigError
from kinema.launching import Place, first_host, place_of

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "MASTER_ADDR": "a1", "MASTER_PORT": "1234"}
SLURM = {
    **{"SLURM_PROCID": "5", "SLURM_NTASKS": "16", "SLURM_LOCALID": "1", "SLURM_JOB_ID": "40007", "SLURM_STEP_ID": "2"},
    "SLURM_JOB_NODELIST": "gpu[03-05,9],login1",
}
OPEN_MPI = {
    **{"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"},
    **{"OMPI_COMM_WORLD_LOCAL_RANK": "1", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"},
}


@pytest.mark.parametrize(
    ("launcher", "environ", "place"),
    [
        ("none", {}, None),
        ("none", {"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),  # inside a job, but not started by srun
        ("none", TORCHRUN, Place(3, 8, 1, "a1", 1234)),
        ("pytorch", {"RANK": "0", "WORLD_SIZE": "1"}, Place(0, 1, 0, "127.0.0.1", 29500)),
        ("slurm", SLURM, Place(5, 16, 1, "gpu03", 12_009)),
        ("slurm", {**SLURM, "MASTER_ADDR": "head", "MASTER_PORT": "99"}, Place(5, 16, 1, "head", 99)),
        ("slurm", {**SLURM, "CUDA_VISIBLE_DEVICES": "1"}, Place(5, 16, 0, "gpu03", 12_009)),
        ("slurm", {**SLURM, "CUDA_VISIBLE_DEVICES": "0,1"}, Place(5, 16, 1, "gpu03", 12_009)),
        ("slurm", {**SLURM, "SLURM_STEP_NODELIST": "gpu7"}, Place(5, 16, 1, "gpu7", 12_009)),
        ("mpi", OPEN_MPI, Place(1, 2, 1, "127.0.0.1", 29500)),
        ("mpi", {"PMI_RANK": "4", "PMI_SIZE": "8", "MASTER_ADDR": "head"}, Place(4, 8, 0, "head", 29500)),
    ],
)
def test_a_process_knows_its_place(launcher: str, environ: dict[str, str], place: Place | None) -> None:
    assert place_of(environ, launcher) == place


def test_a_place_becomes_the_variables_of_torchrun() -> None:
    place = place_of(SLURM, "slurm")
    assert place is not None
    assert place_of(place.environment()) == place


@pytest.mark.parametrize(
    ("launcher", "environ", "message"),
    [
        ("torchrun", {}, "launcher must be one of none, pytorch, slurm, mpi, got 'torchrun'"),
        (
            "pytorch",
            {},
            "launcher='pytorch' needs RANK and WORLD_SIZE: start with torchrun --nproc-per-node N -m kinema",
        ),
        ("slurm", {"SLURM_PROCID": "0"}, "launcher='slurm' needs SLURM_PROCID, SLURM_NTASKS and SLURM_JOB_NODELIST"),
        ("mpi", {}, "launcher='mpi' needs the variables of mpirun, such as OMPI_COMM_WORLD_RANK"),
        (
            "mpi",
            {**OPEN_MPI, "OMPI_COMM_WORLD_SIZE": "4"},
            "on several machines needs MASTER_ADDR, the machine of process 0",
        ),
        ("none", {**TORCHRUN, "RANK": "first"}, "the environment variable RANK must be a number, got 'first'"),
    ],
)
def test_a_launcher_that_did_not_start_the_process_is_an_error(launcher: str, environ: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        place_of(environ, launcher)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("n[1-4]", "n1"),
        ("n[07,09-12]", "n07"),
        ("r[2-3]n[4,6],x", "r2n4"),
        ("a[1-2]b", "a1b"),
    ],
)
def test_the_first_node_of_a_list(nodes: str, first: str) -> None:
    assert first_host(nodes) == first
