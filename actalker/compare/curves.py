"""Motion over time as a picture: one panel for each thing that moves, one line for each mode."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from actalker.config import INDEX
from actalker.evaluate.lips import opening
from actalker.evaluate.series import FPS

# Okabe and Ito's colours, which the colour-blind tell apart, and dashes, which printers do.
LINES = (
    ("#000000", (0, (1, 1.2))),
    ("#0072B2", "-"),
    ("#E69F00", (0, (5, 1.5))),
    ("#009E73", (0, (9, 1.5))),
    ("#CC79A7", (0, (6, 1.5, 1, 1.5))),
    ("#56B4E9", (0, (3, 1, 1, 1, 1, 1))),
    ("#D55E00", (0, (2, 1))),
)
VOICE = "#D9D9D9"
SIZE = 14.0, 11.0  # inches
DPI = 100


def _mean(*names: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda motion: motion[:, [INDEX[name] for name in names]].mean(axis=1)


PANELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mouth opening": opening,
    "lids, 1 = shut": _mean("eyeBlinkLeft", "eyeBlinkRight"),
    "brows, raised": _mean("browInnerUp", "browOuterUpLeft", "browOuterUpRight"),
    "head yaw, degrees": _mean("headYaw"),
    "head pitch, degrees": _mean("headPitch"),
}


def draw_curves(path: Path, motions: Mapping[str, np.ndarray], voice: np.ndarray, seconds: float) -> None:
    """Write a PNG of motions (t, 38) at 25 fps by name, the speech's envelope (t,) behind the mouth."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(PANELS), 1, sharex=True)
    for axis, (title, of) in zip(axes, PANELS.items(), strict=True):
        for number, (name, motion) in enumerate(motions.items()):
            colour, dashes = LINES[number % len(LINES)]
            curve = of(motion)[: round(seconds * FPS)]
            axis.plot(np.arange(len(curve)) / FPS, curve, color=colour, linestyle=dashes, linewidth=1.7, label=name)
        axis.set_ylabel(title, fontsize=12)
        axis.tick_params(labelsize=11)
        axis.grid(alpha=0.3)
        axis.margins(x=0)
    _draw_voice(axes[0], voice[: round(seconds * FPS)])
    axes[-1].set_xlabel("seconds", fontsize=12)
    axes[-1].set_xlim(0, seconds)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=8, fontsize=13, frameon=False)
    figure.savefig(path)


def _draw_voice(axis: object, voice: np.ndarray) -> None:
    """The envelope as a grey ground, as tall as the panel."""
    low, high = axis.get_ylim()
    axis.fill_between(
        np.arange(len(voice)) / FPS, low, low + voice * (high - low), color=VOICE, zorder=0, label="sound of the speech"
    )
    axis.set_ylim(low, high)
