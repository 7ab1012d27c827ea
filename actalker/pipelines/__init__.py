"""From a request to a clip. `load(tier)` gives the pipeline; a tier's code is imported only when it is asked for."""

from actalker.pipelines.request import Cancelled, Cue, Pipeline, Progress, Request

__all__ = ["TIERS", "Cancelled", "Cue", "Pipeline", "Progress", "Request", "load"]

TIERS = ("embedded",)


def load(tier: str = "embedded") -> Pipeline:
    """The pipeline of a tier with its weights in memory; it may be called any number of times."""
    if tier not in TIERS:
        raise ValueError(f"There is no tier {tier!r}; choose one of: {', '.join(TIERS)}.")
    from actalker.pipelines.embedded import EmbeddedPipeline

    return EmbeddedPipeline()
