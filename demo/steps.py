"""A job as the page shows it: one step after the other, the last one with the result or with what went wrong."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from actalker import pipelines
from actalker.errors import InputError
from demo.notes import Note
from demo.runner import Update
from demo.studio import Studio

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """What the page shows at one moment of a job. `update` is there once it is at work and not merely looking."""

    status: str
    running: bool = False
    update: Update | None = None
    notes: Mapping[str, Note] = field(default_factory=dict)
    result: object = None

    @property
    def replaces(self) -> bool:
        """Whether the last result makes way: for a new one, or for one that has begun."""
        return self.result is not None or self.update is not None


def steps(studio: Studio, visitor: str, work: Callable, told: Callable[[Update], str]) -> Iterator[Step]:
    """Run a job; what happens becomes steps, its progress told by `told`."""
    words = studio.words
    try:
        with closing(studio.runner.run(work, visitor)) as moments:
            for moment in moments:
                if isinstance(moment, Update):
                    yield Step(told(moment), running=True, update=moment)
                else:
                    yield Step(Note("good", words("status.done")).html, result=moment)
    except InputError as fault:
        yield Step(Note("fault", words.fault(fault)).html)
    except pipelines.Cancelled:
        yield Step(Note("hint", words("status.stopped")).html)
    except Exception:
        log.exception("A request failed.")
        yield Step(Note("fault", words("status.broken")).html)
