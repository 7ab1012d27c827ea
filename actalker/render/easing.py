"""Transitions that start and end gently."""

import numpy as np


def smoothstep(x: np.ndarray | float) -> np.ndarray:
    """0 below 0, 1 above 1, level at both."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def ramp(start: float, end: float, x: np.ndarray | float) -> np.ndarray:
    """Smooth step: 0 below start, 1 above end (which may lie below start), level at both."""
    return smoothstep((x - start) / (end - start))
