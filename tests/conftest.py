"""Settings of the whole test session."""

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Small tensors on a shared machine: more threads only wait for each other."""
    torch.set_num_threads(1)
