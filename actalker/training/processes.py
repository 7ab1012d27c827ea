"""One training on several processes, machines or none but this: accelerate starts them, each takes its share of a step.

All processes draw the same global batch from the step's number and keep their own rows; losses are weighted so that the
mean of the processes' gradients is the gradient of the whole batch. So the number of processes changes rounding alone,
and a state that one number of them left is another's to go on from.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import torch

from actalker.errors import InputError

if TYPE_CHECKING:
    from accelerate import Accelerator

LONGEST_WAIT = timedelta(days=2)  # of one process for another, as when one makes the corpus


def begin(batch: int, precision: str = "no") -> "Accelerator":
    """What is known of the processes. InputError: they cannot share `batch` rows evenly."""
    from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs

    closed = DistributedDataParallelKwargs(find_unused_parameters=True)  # a closed gate's branch has no gradient
    waiting = InitProcessGroupKwargs(timeout=LONGEST_WAIT)
    no_gpu = not torch.cuda.is_available()
    accelerator = Accelerator(cpu=no_gpu, mixed_precision=precision, kwargs_handlers=[closed, waiting])
    if batch % accelerator.num_processes:
        count = accelerator.num_processes
        raise InputError(f"{batch} clips a step cannot be shared out evenly to {count} processes; give a multiple.")
    return accelerator


def share(accelerator: "Accelerator", batch: int) -> slice:
    """Which rows of a global batch are this process's."""
    return slice(accelerator.process_index, batch, accelerator.num_processes)


def mean_over(accelerator: "Accelerator", value: torch.Tensor) -> float:
    """The mean of the processes' values of a scalar."""
    return accelerator.reduce(value.detach(), "mean").item()


@contextmanager
def first_process_first() -> Iterator[None]:
    """The others wait until the first has done what is in the block, then do it, too: they find it done."""
    from accelerate import PartialState

    with PartialState(cpu=not torch.cuda.is_available(), timeout=LONGEST_WAIT).main_process_first():
        yield
