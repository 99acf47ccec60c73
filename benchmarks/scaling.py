"""What training on two processes costs on this machine, against one process and against no exchange of gradients.

The claims: both strategies train alike; the exchange of gradients hides behind the backward pass;
a checkpoint of a sharded model takes about as long as one of a whole model. On a machine with too
few cores for two processes each takes longer; so the figure to read is the share of the exchange,
measured within the same processes. Run: python benchmarks/scaling.py [MODEL]
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MODEL = "compact3d"
BATCH, STEPS, ROUNDS = 4, 6, 3


def main() -> None:
    """Run each strategy in processes of its own, and print their medians side by side."""
    model = sys.argv[1] if len(sys.argv) > 1 else MODEL
    rows = [measured(model, name, processes) for name, processes in (("single", 1), ("ddp", 2), ("fsdp2", 2))]
    base = rows[0]["clips_per_second"]
    print(f"{model}, {BATCH} clips a process, on {rows[0]['device']}; medians of {ROUNDS} rounds of {STEPS} steps")
    print("strategy  processes  clips/s  of one process  exchange, share of a step  gather and save  of the step")
    for row in rows:
        print(
            f"{row['strategy']:8}  {row['processes']:9}  {row['clips_per_second']:7.2f}"
            f"  {row['clips_per_second'] / base:14.2f}  {row['exchange_share']:25.1%}"
            f"  {row['save_seconds']:13.3f} s  {row['save_seconds'] / row['step_seconds']:11.2f}"
        )


def measured(model: str, strategy: str, processes: int) -> dict[str, Any]:
    """The figures of a strategy on so many processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*command, __file__, "--of", model, strategy, folder], check=True)
        row: dict[str, Any] = json.loads(Path(folder, "row.json").read_text())
    return row


def measure(model_name: str, strategy_name: str, folder: Path) -> None:
    """Run by torchrun in each process."""
    import torch

    from kinema.distributed import barrier, choose_device, get_world_size, init_from_environment, is_main_process
    from kinema.models import zoo
    from kinema.parallel import choose_strategy
    from kinema.structures import ActionDataSample

    init_from_environment()
    device = choose_device("auto")
    model = zoo.create_model(model_name).to(device)
    strategy = choose_strategy(strategy_name, get_world_size(), device)  # type: ignore[arg-type]
    strategy.wrap(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    shape = zoo.card(model_name).input.view_shape()[1:]
    batch = {
        "inputs": [torch.randint(0, 256, shape, dtype=torch.uint8) for _ in range(BATCH)],
        "data_samples": [ActionDataSample().set_gt_label(0) for _ in range(BATCH)],
    }

    def seconds(exchange: bool) -> float:
        barrier()
        started = time.perf_counter()
        for _ in range(STEPS):
            with strategy.synchronising(exchange):
                losses = strategy.losses(batch)
                losses["loss_cls"].backward()
            optimizer.step() if exchange else None
            optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        barrier()
        return (time.perf_counter() - started) / STEPS

    def update_seconds() -> float:
        """Of an update alone, which the steps without an exchange leave out."""
        with strategy.synchronising(True):
            strategy.losses(batch)["loss_cls"].backward()
        started = time.perf_counter()
        optimizer.step()
        return time.perf_counter() - started

    def save_seconds() -> float:
        barrier()
        started = time.perf_counter()
        state = {"model": strategy.model_state(), "optimizer": strategy.optimizer_state(optimizer)}
        if is_main_process():
            torch.save(state, folder / "state.pt")
        barrier()
        return time.perf_counter() - started

    seconds(True)
    seconds(False)
    times: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(ROUNDS):  # in turns: the machine may be busy
        for exchange in times:
            times[exchange].append(seconds(exchange))
    step = statistics.median(times[True])
    alone = statistics.median(times[False]) + statistics.median(update_seconds() for _ in range(ROUNDS))
    saving = statistics.median(save_seconds() for _ in range(ROUNDS))
    if is_main_process():
        row = {
            "strategy": strategy.name,
            "processes": get_world_size(),
            "device": str(device),
            "step_seconds": step,
            "clips_per_second": BATCH * get_world_size() / step,
            "exchange_share": max(0.0, 1 - alone / step) if get_world_size() > 1 else 0.0,
            "save_seconds": saving,
        }
        (folder / "row.json").write_text(json.dumps(row))
    barrier()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--of"]:
        measure(sys.argv[2], sys.argv[3], Path(sys.argv[4]))
    else:
        main()
