"""Graphics cards that a host lends by the call, as a ZeroGPU Space does with its package `spaces`."""

from collections.abc import Callable
from importlib import import_module

LENT_SECONDS = 120  # of a card, for one job


def lent(function: Callable) -> Callable:
    """The function, given a card for each call where the host lends them; elsewhere as it is."""
    try:
        spaces = import_module("spaces")
    except ImportError:
        return function
    return spaces.GPU(duration=LENT_SECONDS)(function)
