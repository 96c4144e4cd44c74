"""Random streams: each is derived from the recipe's seed, a purpose and a number, never carried on.

So a run that was killed and is resumed computes the same numbers as one that was not.
"""

import hashlib

import torch

__all__ = ["seed_default", "seed_for", "stream"]


def seed_for(seed: int, purpose: str, number: int = 0) -> int:
    """Return the seed of one random stream: a hash, so that no two streams are alike."""
    text = f"{seed}/{purpose}/{number}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def stream(
    seed: int, purpose: str, number: int = 0, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Make the generator of one random stream."""
    return torch.Generator(device).manual_seed(seed_for(seed, purpose, number))


def seed_default(seed: int, device: torch.device) -> None:
    """Seed torch's default streams that are used, at each step: dropout and the like use them.

    `torch.manual_seed` also notes a stack trace for every other kind of device there might be: a
    millisecond, and memory that is never given back.
    """
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
