"""The command: `actalker` (= `python -m actalker`) with the verbs animate, compare, batch, measure, evaluate, train,
convert, bench and doctor.

Results go to stdout, with --json as exactly one object; progress and messages go to stderr. Exit 0 on success, 2 on bad
input with one sentence that says what was found and what to do, 3 where some rows of a batch failed.
"""

import argparse
import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from actalker.config import MotionNet, Training, VideoSampling
from actalker.errors import InputError
from actalker.options import add_request, add_tier, check_counts, check_target, request_of, tier_and_running
from actalker.pipelines import Request
from actalker.pipelines.ahead import await_errands
from actalker.verbs import (
    add_batch,
    add_compare,
    add_convert,
    add_evaluate,
    add_train_full,
    batch,
    compare,
    convert,
    evaluate,
    train_full,
)

ASSETS = Path(__file__).parents[1] / "assets"
EXAMPLE = {"photo": "faces/hopper.jpg", "speech": "speech/welcome.wav", "driving": "drivers/cheerful.mp4"}


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        with contextlib.nullcontext() if options.verbose else _native_code_quiet():
            told = options.verbose or (options.verb in ("train", "batch") and _speaks())
            level = logging.INFO if told else logging.WARNING
            logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr, force=True)
            logging.getLogger("actalker").setLevel(level)
            report, text = options.run(options)
    except InputError as error:
        print(f"actalker {options.verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"actalker {options.verb}: stopped.", file=sys.stderr)
        return 130
    if _speaks():
        print(json.dumps(report) if options.json else text)
    return 3 if report.get("failed") else 0


def _speaks() -> bool:
    """Whether this process reports: of several that accelerate started, the first."""
    return os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def _native_code_quiet() -> Iterator[None]:
    """Keep what mediapipe's C++ code writes to file descriptor 2 off the terminal; Python's own messages get there."""
    terminal, python_stderr = os.dup(2), sys.stderr
    with open(os.devnull, "w") as nowhere, os.fdopen(terminal, "w", buffering=1) as messages:
        if python_stderr is sys.__stderr__:
            sys.stderr = messages
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            await_errands()
            os.dup2(terminal, 2)
            sys.stderr = python_stderr


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in one sentence, without the usage."""

    def error(self, message: str) -> None:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="actalker", description="A photo, a voice and a clip become a talking video.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, add, run, summary in (
        ("animate", _add_animate, _animate, "make a video from a photo with speech, a driving clip or both"),
        ("compare", add_compare, compare, "make the modes side by side from one photo, with curves and scores"),
        ("batch", add_batch, batch, "make the videos of a list of requests, on one core or many machines"),
        ("measure", _add_measure, _measure, "read the facial motion in a video into an .npz file"),
        ("evaluate", add_evaluate, evaluate, "score finished videos, of this program or any other"),
        ("train", _add_train, _train, "train a tier's model; run again to continue"),
        ("convert", add_convert, convert, "make the full tier's weights from released files"),
        ("bench", _add_bench, _bench, "measure the speed of a part of the program on this machine"),
        ("doctor", _add_doctor, _doctor, "say what is installed and missing, or what a video claims to be"),
    ):
        verb = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        add(verb)
        verb.add_argument("--json", action="store_true", help="print the result as one JSON object")
        verb.add_argument("--verbose", action="store_true", help="log what is going on")
        verb.set_defaults(run=run, progress=_Meter())
    return parser


def _add_animate(verb: argparse.ArgumentParser) -> None:
    add_request(verb)
    verb.add_argument("--example", action="store_true", help="use the files that ship with the program")
    verb.add_argument("--out", type=Path, metavar="O.mp4", help="the video to write")
    verb.add_argument("--dry-run", action="store_true", help="only look at the files and say what the run would take")
    verb.add_argument("--motion-out", type=Path, metavar="M.npz", help="also write the motion")
    add_tier(verb)


def _add_measure(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("video", type=Path, help="video of a face")
    verb.add_argument("--out", type=Path, required=True, metavar="M.npz", help="values (t, k), names and fps")


def _add_train(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--corpus", type=Path, help="folder for synthetic speech; filled as far as needed")
    verb.add_argument("--minutes", type=float, default=127.5, help="raw speech in the corpus (default 127.5)")
    verb.add_argument("--out", type=Path, help="folder for state, log and checkpoint")
    verb.add_argument("--steps", type=int, help=f"training steps (default {Training.steps})")
    verb.add_argument("--batch", type=int, help=f"clips a step (default {Training.batch})")
    verb.add_argument("--seed", type=int, default=Training.seed, help=f"what is drawn (default {Training.seed})")
    verb.add_argument("--threads", type=int, default=1, help="threads of the network on a CPU (default 1)")
    verb.add_argument("--workers", type=int, default=os.cpu_count(), help="that synthesise speech (default: all cores)")
    verb.add_argument("--score", action="store_true", help="instead of training, score a checkpoint on real speech")
    verb.add_argument("--checkpoint", type=Path, metavar="F", help="what to score (default: the one that is shipped)")
    verb.add_argument("--talking", type=Path, nargs="+", default=[], metavar="CLIP", help="score on real lips, too")
    verb.add_argument("--rendered", action="store_true", help="score the example photo's video of real speech, too")
    add_train_full(verb)


def _add_bench(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("part", choices=["scan", "render"], help="the selective scan, or a video from its files on")
    verb.add_argument("--shapes", nargs="+", metavar="CxTxD", help="scan: clips x tokens x channels")
    verb.add_argument("--against", nargs="+", metavar="NAME", help="scan: backends, associative_scan, mamba.py")
    verb.add_argument("--seconds", nargs="+", type=float, metavar="S", help="render: lengths (default: 10 60)")
    verb.add_argument("--modes", nargs="+", metavar="MODE", help="render: joint, voice, video (default: all)")
    verb.add_argument("--rounds", type=int, default=5, help="how often each is run (default 5)")
    verb.add_argument("--threads", type=int, default=os.cpu_count(), help="threads to use (default: all cores)")


def _add_doctor(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--provenance", type=Path, metavar="V.mp4", help="only say what this video claims to be")


def _animate(options: argparse.Namespace) -> tuple[dict, str]:
    from actalker import pipelines

    request = _request(options)
    if options.dry_run:
        return _look(request)
    request.checked()
    if options.out is None:
        raise InputError("The result has no name; add --out, or --dry-run to look at the files alone.")
    check_target(options.out, ".mp4")
    if options.motion_out:
        check_target(options.motion_out, ".npz")
    tier, running = tier_and_running(options)
    if tier == "full" and options.steps is None and not options.recipe:
        request = replace(request, steps=VideoSampling.steps)
    facts = pipelines.load(tier, running)(request, options.out, options.progress, options.motion_out)
    seconds, factor = facts["seconds"], facts["realtime_factor"]
    found = facts["faces_found"]
    several = f" The photo shows {found} faces; face {request.face or 0} was used." if found > 1 else ""
    untrained = f" {facts['warning']}" if "warning" in facts else ""
    return facts, f"{facts['out']}: {seconds} s, {factor} times real time.{several}{untrained}"


def _look(request: Request) -> tuple[dict, str]:
    from actalker.pipelines.check import look

    found = look(request)
    if found.faults:
        raise InputError(next(iter(found.faults.values())))
    return found.as_dict(), found.as_text()


def _request(options: argparse.Namespace) -> Request:
    """The request, with the example's files where they were asked for and nothing else was given."""
    example = {role: ASSETS / name for role, name in EXAMPLE.items()} if options.example else {}
    return request_of(options, example)


def _measure(options: argparse.Namespace) -> tuple[dict, str]:
    from actalker.signals.media import MOST_SECONDS, probe_video, read_video
    from actalker.signals.motion import measure_motion

    check_target(options.out, ".npz")
    fps = float(probe_video(options.video).fps)
    motion = measure_motion(read_video(options.video, fps, longest=MOST_SECONDS), fps, name=options.video.name)
    motion.save(options.out)
    frames, names = len(motion), list(motion.names)
    facts = {"out": str(options.out), "frames": frames, "fps": fps, "names": names, "frames_filled": motion.filled}
    return facts, f"{options.out}: {frames} frames at {fps:g} fps, {motion.filled} filled from their neighbours."


def _train(options: argparse.Namespace) -> tuple[dict, str]:
    check_counts(options, "seed", least=0)
    if options.tier == "full":
        return train_full(options)
    options.steps = Training.steps if options.steps is None else options.steps
    options.batch = Training.batch if options.batch is None else options.batch
    if options.score:
        return _score(options)
    if options.checkpoint or options.talking or options.rendered:
        raise InputError("--checkpoint, --talking and --rendered belong to --score; add it or leave them out.")
    if not (options.corpus and options.out):
        raise InputError("Training needs the folders --corpus and --out; give both, or --score to score a checkpoint.")
    import torch

    from actalker.training.corpus import CorpusPlan, build_corpus, load_corpus
    from actalker.training.loop import train
    from actalker.training.processes import first_process_first

    check_counts(options, "minutes", "steps", "batch", "threads", "workers")
    torch.set_num_threads(options.threads)
    with first_process_first():
        build_corpus(options.corpus, CorpusPlan(), options.minutes, options.workers)
    config = Training(steps=options.steps, batch=options.batch, seed=options.seed)
    facts = {"corpus_minutes": options.minutes, "seed": options.seed}
    checkpoint = train(load_corpus(options.corpus, options.minutes), MotionNet(), config, options.out, facts)
    return {"checkpoint": str(checkpoint), "steps": config.steps}, f"{checkpoint}: {config.steps} steps."


def _score(options: argparse.Namespace) -> tuple[dict, str]:
    import torch

    from actalker.training.scorecard import score_checkpoint
    from actalker.training.scoring import table

    check_counts(options, "threads")
    torch.set_num_threads(options.threads)
    photo = ASSETS / EXAMPLE["photo"] if options.rendered else None
    sections = score_checkpoint(options.checkpoint, options.talking, photo)
    return {"sections": [section.as_dict() for section in sections]}, table(sections)


def _bench(options: argparse.Namespace) -> tuple[dict, str]:
    import torch

    check_counts(options, "rounds", "threads")
    torch.set_num_threads(options.threads)
    if options.part == "render":
        from actalker.bench import render

        report = render.bench_render(options.seconds or render.LENGTHS, options.modes or render.MODES, options.rounds)
        return report, render.as_text(report)
    from actalker.bench import scan

    report = scan.bench_scan(options.shapes or scan.SHAPES, options.against or scan.AGAINST, options.rounds)
    return report, scan.as_text(report)


def _doctor(options: argparse.Namespace) -> tuple[dict, str]:
    from actalker import doctor

    if options.provenance:
        claims = doctor.provenance(options.provenance)
        return claims, doctor.provenance_text(claims)
    report = doctor.report()
    return report, doctor.as_text(report)


class _Meter:
    """Progress on stderr: one line, rewritten on a terminal, and nothing otherwise."""

    def __call__(self, stage: str, done: float) -> None:
        if sys.stderr.isatty():
            end = "\n" if stage in ("rendering", "drawing", "scoring") and done >= 1 else ""
            print(f"\r{stage} {done:4.0%}".ljust(40), end=end, file=sys.stderr, flush=True)
