"""From a request to a clip. `load(tier)` gives the pipeline; a tier's code is imported only when it is asked for."""

from actalker.pipelines.request import Cancelled, Cue, Pipeline, Progress, Request, Running

__all__ = ["TIERS", "Cancelled", "Cue", "Pipeline", "Progress", "Request", "Running", "load"]

TIERS = ("embedded", "full")


def load(tier: str = "embedded", running: Running | None = None) -> Pipeline:
    """The pipeline of a tier with its weights in memory; it may be called any number of times.

    `running` is for the full tier. Raises InputError where weights are missing or too large for this machine.
    """
    if tier not in TIERS:
        raise ValueError(f"There is no tier {tier!r}; choose one of: {', '.join(TIERS)}.")
    if tier == "full":
        from actalker.pipelines.full import FullPipeline

        return FullPipeline(running)
    from actalker.pipelines.embedded import EmbeddedPipeline

    return EmbeddedPipeline()
