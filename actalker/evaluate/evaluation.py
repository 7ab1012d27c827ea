"""From paths to scores: finds the videos and what is known of each, and measures nothing twice."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from actalker.errors import InputError
from actalker.evaluate import paper, scores
from actalker.evaluate.identity import ArcFace, find_arcface
from actalker.evaluate.scores import Scores, Section, Yardsticks
from actalker.evaluate.series import FPS
from actalker.evaluate.syncnet import sync_scores
from actalker.evaluate.transcript import read_phones
from actalker.evaluate.watching import look_at, pixel_changes_of, watch
from actalker.pipelines import Progress
from actalker.pipelines.recipe import FORMAT, read_recipe
from actalker.pipelines.request import silent
from actalker.signals import media
from actalker.signals.alignment import Phone, align_phones, aligner
from actalker.signals.audio import RATE, hear

VIDEOS = {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi"}
KEPT = 6  # watched videos that are remembered: drivers, references and photos are often shared

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Known:
    """What is known beside the videos: files, or folders with a file of each video's name."""

    speech: Path | None = None
    driving: Path | None = None
    photo: Path | None = None
    reference: Path | None = None
    pair: Path | None = None
    phones: Path | None = None
    words: str | None = None
    arcface: Path | None = None

    def of(self, video: Path) -> "Known":
        """What is known of one video, each folder replaced by the file in it that is named like the video."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return Known(**{name: _named_like(video, value) for name, value in given.items()})


@dataclass(frozen=True)
class Networks:
    """The TorchScript files of the paper's measures, where the user has them."""

    fid: Path | None = None
    fvd: Path | None = None
    lpips: Path | None = None
    syncnet: Path | None = None


NO_NETWORKS = Networks()


def find_videos(paths: Sequence[Path]) -> list[Path]:
    """The videos themselves, those in folders by name, and those that a `results.jsonl` lists under "out"."""
    found = [video for path in paths for video in _videos_of(Path(path))]
    return list(dict.fromkeys(found))


def _videos_of(path: Path) -> list[Path]:
    if path.suffix == ".jsonl":
        return _listed(path)
    if not path.is_dir():
        return [path]
    inside = sorted(file for file in path.iterdir() if file.suffix.lower() in VIDEOS)
    if not inside:
        raise InputError(f"{path} holds no video; give a folder of results.")
    return inside


def _listed(path: Path) -> list[Path]:
    try:
        rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        outs = [Path(row["out"]) for row in rows if row.get("out")]
    except (OSError, ValueError, TypeError, AttributeError) as fault:
        raise InputError(f'{path} is not a list of results; give one JSON object with "out" a line.') from fault
    places = [out if out.exists() else path.parent / out for out in outs]
    if not any(place.exists() for place in places):
        raise InputError(f"{path} lists no video that exists; make the results first.")
    for missing in (place for place in places if not place.exists()):
        log.warning("%s is listed in %s but does not exist; it is left out.", missing, path.name)
    return [place for place in places if place.exists()]


def _named_like(video: Path, given: object) -> object:
    if not isinstance(given, Path) or not given.is_dir():
        return given
    same = sorted(file for file in given.iterdir() if file.stem == video.stem)
    if not same:
        raise InputError(f"{given} holds no file named {video.stem}; name its files like the videos.")
    return same[0]


def evaluate(
    paths: Sequence[Path], known: Known, networks: Networks = NO_NETWORKS, progress: Progress = silent
) -> list[Scores]:
    """Scores of every video, see `find_videos`, and, of several and with FID's or FVD's network, of all together.

    What is not given is taken from the recipe beside a video, if one is there. Of several videos, one that cannot be
    scored is told of and has no scores; InputError where there is none that can.
    """
    if any((networks.fid, networks.fvd, networks.lpips)) and known.reference is None:
        raise InputError("FID, FVD and LPIPS compare with real videos, but none was given; add --reference.")
    videos, measuring = find_videos(paths), Measuring(known.arcface or find_arcface(), networks)
    found = _each(measuring, videos, known, progress)
    whole = measuring.whole()
    if whole and len(videos) == 1:
        return [found[0].with_section(scores.PAPER, found[0].sections.get(scores.PAPER, {}) | whole)]
    return [*found, Scores(f"all {len(videos)}").with_section(scores.PAPER, whole)] if whole else found


def _each(measuring: "Measuring", videos: Sequence[Path], known: Known, progress: Progress) -> list[Scores]:
    """Scores of every video, none of one that cannot be scored. InputError: that is true of all."""
    found, faults = [], []
    for number, video in enumerate(videos):
        progress("scoring", number / len(videos))
        try:
            found.append(measuring(video, known.of(video)))
        except InputError as fault:
            faults.append(fault)
            found.append(Scores(video.name))
    progress("scoring", 1.0)
    if len(faults) == len(videos):
        raise faults[0]
    for fault in faults:
        log.warning("%s", fault)
    return found


class Measuring:
    """Scores one video after the other; remembers what they share, and the features for the distances of sets."""

    def __init__(self, arcface: Path | None, networks: Networks):
        self._arcface = ArcFace(arcface) if arcface else None
        self._watch = lru_cache(KEPT)(lambda path: watch(path, self._arcface))
        self._look_at = lru_cache(KEPT)(lambda path, face: look_at(path, face, self._arcface))
        loaded = {field.name: getattr(networks, field.name) for field in fields(networks)}
        self._networks = {name: paper.load_network(path, name.upper()) for name, path in loaded.items() if path}
        self._features: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {"fid": ([], []), "fvd": ([], [])}

    def __call__(self, video: Path, known: Known) -> Scores:
        known, face = _with_recipe(video, known)
        seen = watch(video, self._arcface)
        against = self._yardsticks(video, known, face)
        if known.pair:
            pixels = pixel_changes_of(video, seen, known.pair, self._watch(known.pair))
            against = replace(against, other=self._watch(known.pair), pixel_changes=pixels)
        found = scores.score(seen, against)
        return found.with_section(scores.PAPER, self._by_networks(video, known))

    def whole(self) -> Section:
        """FID and FVD of all videos so far against their references."""
        return {
            name.upper(): paper.frechet_distance(*(np.concatenate(side) for side in sides))
            for name, sides in self._features.items()
            if sides[0]
        }

    def _yardsticks(self, video: Path, known: Known, face: int | None) -> Yardsticks:
        samples = _speech(video, known)
        return Yardsticks(
            speech=samples,
            phones=_phones(known, samples),
            driver=self._watch(known.driving).motion if known.driving else None,
            likeness=self._look_at(known.photo, face) if known.photo else None,
            person=self._watch(known.reference) if known.reference else None,
        )

    def _by_networks(self, video: Path, known: Known) -> Section:
        """LPIPS and SyncNet's scores; the features of FID and FVD are put aside for `whole`."""
        section = {}
        for name, features in (("fid", paper.inception_features), ("fvd", paper.i3d_features)):
            if name in self._networks:
                for side, path in zip(self._features[name], (video, known.reference), strict=True):
                    side.append(features(self._networks[name], _frames(path)))
        if "lpips" in self._networks:
            pair = (_frames(path) for path in (video, known.reference))
            section["LPIPS"] = paper.lpips(self._networks["lpips"], *pair)
        if "syncnet" in self._networks:
            samples = _speech(video, known)
            if samples is None:
                raise InputError(f"{video.name} has no sound for SyncNet; add --speech.")
            sync = sync_scores(self._networks["syncnet"], _frames(video), samples)
            section |= {"Sync-C": sync.confidence, "Sync-D": sync.distance}
        return section


def _frames(path: Path) -> Iterator[np.ndarray]:
    return media.read_video(path, FPS, longest=media.MOST_SECONDS)


def _with_recipe(video: Path, known: Known) -> tuple[Known, int | None]:
    """What is known, completed from the recipe beside the video, and which face of the photo it used."""
    recipe = video.with_suffix(".json")
    if not recipe.is_file() or FORMAT not in recipe.read_text(errors="replace"):
        return known, None
    try:
        request = read_recipe(recipe)
    except InputError as fault:
        log.warning("%s is not used: %s", recipe.name, fault)
        return known, None
    given = {field.name: getattr(known, field.name) for field in fields(known)}
    for name in ("speech", "driving", "photo"):
        given[name] = given[name] or getattr(request, name)
    return Known(**given), request.face if known.photo is None else None


def _speech(video: Path, known: Known) -> np.ndarray | None:
    """Samples (n,) at 16 kHz: the given speech, else the video's own sound; None where that is missing or silent."""
    if known.speech is None and not media.probe_video(video).has_audio:
        return None
    samples = media.read_audio(known.speech or video, RATE)
    if hear(samples).silent:
        if known.speech is None:
            return None
        raise InputError(f"{known.speech.name} holds only silence; give the speech that the video was made for.")
    return samples


def _phones(known: Known, samples: np.ndarray | None) -> list[Phone] | None:
    if known.phones is None and known.words is None:
        return None
    if samples is None:
        raise InputError("Phone times were given, but no speech; add --speech, or give a video with sound.")
    if known.phones is not None:
        return read_phones(known.phones)
    return align_phones(aligner(), samples, known.words, "the speech")
