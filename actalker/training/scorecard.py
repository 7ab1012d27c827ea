"""`actalker train --score`: a checkpoint against speech that it was never trained on, beside what knows less."""

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from actalker.errors import InputError
from actalker.evaluate.lips import BILABIALS, opening
from actalker.pipelines.embedded import EmbeddedPipeline
from actalker.training import behaviour
from actalker.training.alignment import Recording, load_recordings
from actalker.training.corpus import FPS
from actalker.training.predictors import Predictor, elsewhere, fit_loudness, regressed, rendered, sampled, shuffled
from actalker.training.scoring import Section, score
from actalker.training.talking import Clip, read_clip, score_lips
from actalker.training.voices import HELD_OUT_VOICE, speak

Samplings = list[list[np.ndarray]]  # a motion for each sound, once or by seeds more often
Voice = Callable[[list[np.ndarray]], Samplings]

SEEDS = range(5)
SHIPPED, SHUFFLED = f"as shipped, {len(SEEDS)} seeds", "shuffled speech"

WANTED_REAL = {
    "opening r": ">= 0.76",
    "jaw r": ">= 0.84",
    "p/b/m hit": ">= 0.65",
    "spurious/s": "<= 0.35",
    "ranking AUC": ">= 0.82",
    "stillness": "<= 0.05",
    "lag ms": "-20 to 20",
}
WANTED_SYNTHETIC = {"opening r": ">= 0.87", "p/b/m hit": ">= 0.85"}
WANTED_LIPS = {"lip gap r": ">= 0.45"}

SENTENCES = (  # for the voice that is held out; none of them comes from the corpus
    "The small boy put a paper map on the table.",
    "We may both become members of the garden club.",
    "My brother bought a lamp at the market.",
    "Please remember to bring back my blue umbrella.",
    "People who live by the sea often swim before breakfast.",
    "A big brown bear came up to the camp at midnight.",
    "Tom keeps most of his money in the bank.",
    "She sells fresh fish and warm bread near the station.",
    "The train to the north leaves at half past seven.",
    "Nobody knows where the old road goes.",
    "Could you open the window a little wider?",
    "His uncle Robert repaired the broken pump.",
    "They watched the yellow leaves fall into the river.",
    "Every morning the baker sweeps the steps of his shop.",
    "I'd rather have soup, maybe with a piece of cheese.",
    "The map was wrong, but the mountain was beautiful.",
    "Five thousand people came to hear him play.",
    "Simple problems seldom have simple answers.",
    "Jump over the puddle, or your boots will be wet.",
    "The youngest girl laughed, and then they all laughed.",
    "Her voice was calm, deep and very clear.",
    "An empty bottle bobbed up and down on the waves.",
    "Both of them promised to be home by supper.",
    "What a strange thing to say about a penguin!",
)

log = logging.getLogger(__name__)


def score_checkpoint(
    checkpoint: Path | None = None, talking: Sequence[Path] = (), photo: Path | None = None
) -> list[Section]:
    """Sections for aligned recordings, the held-out voice, each talking clip, two signals at once and one alone.

    With a `photo`, real speech is also scored on videos of it. InputError: something that is needed is missing.
    """
    pipeline = EmbeddedPipeline(checkpoint)
    real, synthetic, clips = load_recordings(), held_out_voice(), [read_clip(path) for path in talking]
    model, baseline = _model(pipeline), {"loudness only": _each([fit_loudness(synthetic)])}
    everything = model | ({} if photo is None else _video(pipeline, photo)) | baseline
    log.info("predicting real recordings by:")
    heard = _said(everything, [one.samples for one in real])
    log.info("predicting the held-out voice by:")
    said = _said(model | baseline, [one.samples for one in synthetic])
    log.info("drawing intervals")
    sections = [
        _aligned("Real recordings, aligned", real, heard, WANTED_REAL),
        _aligned(f"Held-out voice, {HELD_OUT_VOICE}", synthetic, said, WANTED_SYNTHETIC),
    ]
    for clip in clips:
        log.info("predicting %s by:", clip.name)
        sections.append(_lips(clip, _said(everything, [clip.samples]), heard[SHIPPED][0]))
    log.info("voices beside clips, and a voice alone")
    return [*sections, behaviour.control(pipeline, real), behaviour.alone(pipeline, real)]


def _model(pipeline: EmbeddedPipeline) -> dict[str, Voice]:
    """The model's ways to speak."""
    shipped = _each([sampled(pipeline, seed) for seed in SEEDS])
    return {SHIPPED: shipped, "regression head": _each([regressed(pipeline)])}


def _each(predictors: Sequence[Predictor]) -> Voice:
    return lambda sounds: [[predict(samples) for samples in sounds] for predict in predictors]


def _video(pipeline: EmbeddedPipeline, photo: Path) -> dict[str, Voice]:
    """Video of one seed, and for comparison the motion of that seed."""
    seed = SEEDS[0]
    video = {f"seed {seed} on video": lambda sounds: [rendered(pipeline, photo, seed, sounds)]}
    return {f"seed {seed} alone": _each([sampled(pipeline, seed)])} | video


def _said(voices: dict[str, Voice], sounds: list[np.ndarray]) -> dict[str, Samplings]:
    said = {}
    for name, voice in voices.items():
        log.info("%s", name)
        said[name] = voice(sounds)
    return said


def _aligned(title: str, recordings: list[Recording], said: dict[str, Samplings], wanted: dict[str, str]) -> Section:
    """Recordings with a reference mouth."""
    rows = said | {SHUFFLED: [shuffled(motions) for motions in said[SHIPPED]]}
    seconds = sum(recording.seconds for recording in recordings)
    closures = sum(name in BILABIALS for recording in recordings for _, _, name in recording.phones)
    title += f": {len(recordings)} recordings, {seconds:.0f} s, {closures} p, b and m"
    return Section(title, {name: score(recordings, samplings) for name, samplings in rows.items()}, wanted)


def _lips(clip: Clip, said: dict[str, Samplings], others: list[np.ndarray]) -> Section:
    """A clip with real lips; shuffled speech is what the model makes of `others`, beginning with each in turn."""
    openings = {name: [opening(motion) for (motion,) in samplings] for name, samplings in said.items()}
    frames = max(len(one) for one in openings[SHIPPED])
    turns = ([*others[first:], *others[:first]] for first in range(len(others)))
    openings[SHUFFLED] = [opening(elsewhere(turn, frames)) for turn in turns]
    rows = {name: score_lips(clip, several) for name, several in openings.items()}
    return Section(f"Real lips on video, {clip.name}: {len(clip.gap) / FPS:.0f} s", rows, WANTED_LIPS)


def held_out_voice() -> list[Recording]:
    """The sentences as said by the voice that no corpus holds; tempo and pitch differ, and are the same every time."""
    program, _, _ = HELD_OUT_VOICE.partition(" ")
    if shutil.which(program) is None:
        raise InputError(f"The speech synthesiser {program} was not found: install the Debian package {program}.")
    rng = np.random.default_rng(0)
    said = [speak(HELD_OUT_VOICE, sentence, rng) for sentence in SENTENCES]
    return [Recording.of(one.text, one.samples, one.phones) for one in said]
