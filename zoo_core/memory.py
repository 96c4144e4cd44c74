"""How much memory this machine has, the refusal of work that needs more, and what is kept of it."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_core.errors import InvalidInput

if TYPE_CHECKING:
    import torch

__all__ = ["in_words", "keep_freed", "machine", "require"]

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much a container may take."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt(3)."""
_KEPT = 1 << 30
"""Bytes: a freed block that is no larger is used again."""
_SETTINGS = ("MMAP_THRESHOLD_", "MMAP_MAX_", "TRIM_THRESHOLD_", "TOP_PAD_")
"""A user's MALLOC_… for the same; GLIBC_TUNABLES is the other way to say it."""


def machine(device: torch.device | None = None) -> int | None:
    """Bytes of memory of a device, or of this machine or container; None where nothing says it."""
    if device is not None and device.type == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on Windows
        return None
    for path in _LIMITS:
        try:
            found = min(found, int(Path(path).read_text()))
        except (OSError, ValueError):  # not there, or `max`
            continue
    return found


def keep_freed() -> None:
    """Have this process use memory again that it has freed, where its C library is glibc.

    glibc returns blocks above 32 MB to the system, and a network's tensors are taken and freed at
    each layer: without this half of a forward pass of Row LSTM is the system clearing pages. It is
    for a process of our own. What a user has set stands. An older glibc takes no threshold above
    32 MB, and is left as it is.
    """
    chosen = any(f"MALLOC_{name}" in os.environ for name in _SETTINGS)
    chosen |= "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "")
    if sys.platform != "linux" or chosen:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt and mallopt(_M_MMAP_THRESHOLD, _KEPT):
        mallopt(_M_TRIM_THRESHOLD, _KEPT)


def require(what: str, needed: int, advice: str, device: torch.device | None = None) -> None:
    """Raise InvalidInput where more memory is needed than there is.

    what: what takes it, with its verb, as `training nade.mnist takes`.
    needed: bytes.
    advice: what to do instead.
    """
    there = machine(device)
    if there is not None and needed > there:
        raise InvalidInput(
            f"{what} about {in_words(needed)} of memory, and there are {in_words(there)}. {advice}"
        )


def in_words(count: int) -> str:
    """Bytes as gigabytes."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{max(0.01, count / 1e9):.2f} GB"
