"""Commands whose work several processes share: `zoo eval` and `zoo compare`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from zoo_core.bulk import Share

__all__ = ["devices_option", "shared"]


def devices_option(what: str) -> Callable[[Any], Any]:
    """The option `--devices`.

    what: the processes do.
    """
    return click.option(
        "--devices",
        type=click.IntRange(min=1),
        help=f"Processes that {what}, each with a device. [default: 1, or as many as torchrun or "
        "SLURM started]",
    )


@contextmanager
def shared(devices: int) -> Iterator[Share]:
    """Measure with other processes, which are started where torchrun or SLURM have not."""
    from zoo_core.bulk.shares import Share, find_step, together
    from zoo_core.metrics.shares import free_port, joined

    share = find_step() if "MASTER_ADDR" in os.environ else Share()  # else they cannot meet
    if "MASTER_ADDR" not in os.environ and os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1":
        click.echo(
            "SLURM started several processes, and MASTER_ADDR does not say where they meet: each "
            "measures everything. To share the work: export MASTER_PORT=29500 "
            'MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
            err=True,
        )
    start = devices > 1 and share.processes == 1
    if start:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = together(devices) if start else nullcontext(share)
    with processes as share, joined(share.rank, share.processes):
        yield share
