"""From a finished video to its scores: what is measured depends only on what there is to compare it with."""

from dataclasses import dataclass, field, replace

import numpy as np

from actalker.config import REGIONS
from actalker.evaluate import control, following, identity, lips, picture
from actalker.evaluate.watching import Likeness, Watched
from actalker.signals.alignment import Phone

Section = dict[str, float]  # measure -> value; nan where there is nothing to tell from


@dataclass(frozen=True)
class Yardsticks:
    """What a video is measured against; whatever is missing, its measures are left out."""

    speech: np.ndarray | None = None  # samples (n,) float32 at 16 kHz, from the video's first frame on
    phones: list[Phone] | None = None  # of that speech
    driver: np.ndarray | None = None  # (t, 38) at 25 fps
    likeness: Likeness | None = None  # of the photo
    person: Watched | None = None  # who says the same, at the same time
    other: Watched | None = None  # a result that differs in one signal, or in mode
    pixel_changes: Section = field(default_factory=dict)  # region -> how much its pixels differ from that result's


@dataclass(frozen=True)
class Scores:
    """What was measured of one video, by section."""

    video: str
    sections: dict[str, Section] = field(default_factory=dict)

    def with_section(self, title: str, section: Section) -> "Scores":
        """The same with one more section, unless it is empty."""
        return replace(self, sections=self.sections | {title: section}) if section else self

    @property
    def flat(self) -> Section:
        """Measure -> value: names are unique throughout."""
        return {name: value for section in self.sections.values() for name, value in section.items()}

    def as_dict(self) -> dict:
        """For JSON, which knows no nan."""
        sections = {
            title: {name: round(value, 4) if np.isfinite(value) else None for name, value in section.items()}
            for title, section in self.sections.items()
        }
        return {"video": self.video, "sections": sections}


LIPS, PERSON, DRIVER = "lips and voice", "beside a person who says the same", "following the driver"
COEFFICIENTS, CONTROL, PICTURE = "coefficients", "change from the other result", "identity and picture"
PAPER = "by the paper's networks"


def score(video: Watched, against: Yardsticks) -> Scores:
    """Everything that can be measured of a video against what is there."""
    motion = video.motion
    scores = Scores(video.name)
    if against.speech is not None:
        scores = scores.with_section(LIPS, lips_and_voice(motion, against.speech, against.phones))
    if against.person is not None:
        scores = scores.with_section(PERSON, beside_person(motion, against.person.motion))
    if against.driver is not None:
        scores = scores.with_section(DRIVER, following_driver(motion, against.driver))
        scores = scores.with_section(COEFFICIENTS, coefficients(motion, against.driver))
    if against.other is not None:
        changes = {f"change {region}": control.change(motion, against.other.motion, region) for region in REGIONS}
        pixels = {f"change {region}, pixels": value for region, value in against.pixel_changes.items()}
        scores = scores.with_section(CONTROL, changes | pixels)
    return scores.with_section(PICTURE, identity_and_picture(video, against.likeness, against.person))


def lips_and_voice(motion: np.ndarray, samples: np.ndarray, phones: list[Phone] | None = None) -> Section:
    """Motion (t, 38) and the speech that it was made for; closures only where the phones are known.

    A mouth that follows the voice no better than chance has no offset.
    """
    o, voice = lips.opening(motion), lips.envelope(samples)
    said = [lips.Mouthing(o, phones or lips.pauses(lips.loudness(samples)[: len(o)]))]
    r, chance = lips.voice_correlation(o, voice), lips.chance_correlation(o, voice)
    section = {
        "offset ms": float("nan") if r <= chance else lips.offset_ms(o, voice),
        "voice r": r,
        "chance r": chance,
        "stillness": lips.stillness(said),
    }
    if phones:
        section |= {
            "p/b/m hit": lips.closure_hit(said),
            "false closures": lips.false_closures(said),
            "closure ranking": lips.closure_ranking(said),
        }
    return section


def beside_person(motion: np.ndarray, real: np.ndarray) -> Section:
    """Motion (t, 38) and that of a real recording of the same speech."""
    alike = {f"{name} r": r for name, r in lips.likeness(motion, real).items()}
    return alike | {"real offset ms": lips.real_offset_ms(motion, real)}


def following_driver(motion: np.ndarray, driver: np.ndarray) -> Section:
    """Motion (t, 38) and the driver's (t, 38): pose, lag, blinks, and each region's correlation."""
    return {
        "pose error deg": following.pose_error_degrees(motion, driver),
        "lag ms": following.lag_ms(motion, driver),
        "blink hit": following.blink_hit(motion, driver),
        "false blinks/min": following.false_blinks(motion, driver),
    } | {f"{region} follows r": following.region_correlation(motion, driver, region) for region in REGIONS}


def coefficients(motion: np.ndarray, driver: np.ndarray) -> Section:
    """Correlation and error of every coefficient that the driver moves."""
    alike = {f"{name} r": r for name, r in following.coefficient_correlations(motion, driver).items()}
    return alike | {f"{name} error": error for name, error in following.coefficient_errors(motion, driver).items()}


def identity_and_picture(video: Watched, likeness: Likeness | None, person: Watched | None) -> Section:
    """The face's shape over time and beside the photo's, jitter beside a real clip's, and the background."""
    section = {"jitter": picture.jitter(video.seen), "shape drift %": picture.shape_drift(video.shapes)}
    section["background"] = picture.background_change(video.backgrounds)
    if person is not None:
        section["real jitter"] = picture.jitter(person.seen)
    if likeness is not None:
        section["shape distance %"] = picture.shape_distance(video.shapes, likeness.shape)
        section["sharpness"] = picture.sharpness(video.details, likeness.detail)
        if likeness.embedding is not None:
            section["ArcFace"] = identity.similarity(video.embeddings, likeness.embedding)
    return section
