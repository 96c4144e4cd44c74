"""A task over more rows than fit into memory, by as many processes as there are.

The work is divided into parts: some consecutive rows of one source, or some samples. Each becomes a
file of an output folder, under another name until it is whole. A part that is there is done, so the
same command goes on where a killed one stopped, and processes need not know of each other: which
parts are a process's follows from its place among them.
"""

from zoo_core.bulk.running import Done, run_parts
from zoo_core.bulk.shares import Share, find_share

__all__ = ["Done", "Share", "find_share", "run_parts"]
