"""Chance that follows from a seed."""

from __future__ import annotations

import torch


def seeded_generator(seed: int) -> torch.Generator:
    """A generator on the CPU, so that what it draws is the same on every device, from a whole number of any size.

    Parameters
    ----------
    seed : int
        Of which the lowest 64 bits count; torch takes no more.
    """
    return torch.Generator(device="cpu").manual_seed(int(seed) % 2**64)
