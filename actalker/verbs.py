"""The verbs batch, compare, convert and evaluate of the command: their options, and what they report."""

import argparse
from pathlib import Path

from actalker.config import PRESETS, FilmTraining
from actalker.errors import InputError
from actalker.options import MEDIA, add_media, add_settings, add_tier, check_counts, given, region, tier_and_running
from actalker.pipelines import Request

KNOWN = {
    "speech": ("S", "speech of the videos, from their first frame on (default: their own sound)"),
    "driving": ("D", "clip that the videos should follow"),
    "photo": ("P", "photo that the videos should look like"),
    "reference": ("REAL", "real recording of the same speech, from the same moment on"),
    "pair": ("OTHER", "result that differs in one signal: how much each region changed"),
    "phones": ("F", "TextGrid or JSON with the phones of the speech: scores p, b and m"),
}
NETWORKS = {
    "fid": "Inception for FID against --reference",
    "fvd": "I3D for FVD against --reference",
    "lpips": "LPIPS against --reference",
    "syncnet": "SyncNet; the video must be a crop of its run_pipeline.py",
}


def add_batch(verb: argparse.ArgumentParser) -> None:
    """Options of `actalker batch`."""
    verb.add_argument(
        "manifest", type=Path, help="JSON lines or CSV: a row a request, with animate's fields and a name"
    )
    verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for videos, recipes and lists")
    verb.add_argument("--workers", type=int, metavar="N", help="that render (default: one for each core; 1: no Ray)")
    verb.add_argument("--address", metavar="HOST", help="Ray cluster to join, or auto for the one of this machine")
    verb.add_argument("--resume", action="store_true", help="only go on with a batch that was begun in the folder")
    verb.add_argument("--score", action="store_true", help="score every video as evaluate does")
    verb.add_argument("--dry-run", action="store_true", help="only look at the rows and say what they would take")
    add_tier(verb)
    verb.set_defaults(recipe=None)


def batch(options: argparse.Namespace) -> tuple[dict, str]:
    """Render the rows of a manifest, or only look at them."""
    from actalker.batch import run
    from actalker.batch.renderer import Setting

    if options.workers is not None:
        check_counts(options, "workers")
    tier, running = tier_and_running(options)
    setting = Setting(options.out.absolute(), tier=tier, running=running, score=options.score)
    if options.dry_run:
        return run.look(options.manifest, setting, options.workers, options.progress)
    facts = run.run(options.manifest, setting, options.workers, options.address, options.resume)
    return facts, run.as_text(facts)


def add_evaluate(verb: argparse.ArgumentParser) -> None:
    """Options of `actalker evaluate`."""
    verb.add_argument("videos", type=Path, nargs="*", metavar="VIDEO", help="video, folder of videos or results.jsonl")
    for name, (metavar, what) in KNOWN.items():
        verb.add_argument(f"--{name}", type=Path, metavar=metavar, help=f"{what}; or a folder of such, named alike")
    verb.add_argument(
        "--words", metavar="TEXT", help="English words of the speech, whose phones pocketsphinx then finds"
    )
    verb.add_argument(
        "--arcface", type=Path, metavar="F", help="ArcFace as ONNX (default: InsightFace's, if it is there)"
    )
    for name, what in NETWORKS.items():
        verb.add_argument(f"--{name}", type=Path, metavar="NET.pt", help=f"TorchScript file of {what}")
    verb.add_argument("--csv", action="store_true", help="print a row for each video, coefficients included")
    verb.add_argument("--markdown", action="store_true", help="print a Markdown table")
    verb.add_argument("--suite", action="store_true", help="render and score the project's own list of results instead")
    verb.add_argument("--update", action="store_true", help="with --suite: keep these values as the expected ones")


def evaluate(options: argparse.Namespace) -> tuple[dict, str]:
    """Score videos, or the suite."""
    _check_format(options)
    if options.suite:
        return _suite(options)
    if options.update:
        raise InputError("--update belongs to --suite; add it or leave --update out.")
    if not options.videos:
        raise InputError("No video was given; name a video, a folder of videos or a results.jsonl, or add --suite.")
    if options.phones and options.words:
        raise InputError("Both --phones and --words were given; give one of them.")
    from actalker.evaluate import tables
    from actalker.evaluate.evaluation import Known, Networks
    from actalker.evaluate.evaluation import evaluate as measure

    known = Known(**{name: getattr(options, name) for name in (*KNOWN, "words", "arcface")})
    networks = Networks(**{name: getattr(options, name) for name in NETWORKS})
    results = measure(options.videos, known, networks, options.progress)
    show = tables.as_csv if options.csv else tables.as_markdown if options.markdown else tables.as_text
    return {"results": [one.as_dict() for one in results]}, show(results)


def _check_format(options: argparse.Namespace) -> None:
    chosen = [f"--{name}" for name in ("json", "csv", "markdown") if getattr(options, name)]
    if len(chosen) > 1:
        raise InputError(f"{' and '.join(chosen)} were given; choose one of them.")


def _suite(options: argparse.Namespace) -> tuple[dict, str]:
    from actalker.evaluate import suite

    if options.videos:
        raise InputError(f"--suite makes its own videos, but {options.videos[0]} was given; leave one of them out.")
    outcome = suite.run(options.progress)
    if options.update:
        suite.keep(outcome)
    show = suite.as_csv if options.csv else suite.as_markdown if options.markdown else suite.as_text
    return outcome.as_dict(), show(outcome)


def add_compare(verb: argparse.ArgumentParser) -> None:
    """Options of `actalker compare`."""
    add_media(verb)
    verb.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for videos, grid, curves and table"
    )
    verb.add_argument(
        "--map",
        action="append",
        default=[],
        type=_map,
        dest="maps",
        metavar="NAME=REGION:SOURCE,...",
        help="one more mode: the preset joint with these regions changed",
    )
    verb.add_argument(
        "--no-label", action="store_true", help="leave the small AI-generated out of the pictures' corners"
    )
    add_settings(verb)


def compare(options: argparse.Namespace) -> tuple[dict, str]:
    """Render and measure the modes."""
    if options.photo is None:
        raise InputError("No photo was given; add --photo.")
    from actalker.compare import compare as render

    request = Request(**given(options, *MEDIA), label=not options.no_label)
    facts = render(request, dict(options.maps), options.out, options.progress)
    table = facts.pop("table")
    return facts, f"{table}\n\n{facts['grid']}\n{facts['curves']}\n{facts['csv']}\n{facts['markdown']}"


def add_convert(verb: argparse.ArgumentParser) -> None:
    """Options of `actalker convert`."""
    verb.add_argument(
        "folders", type=Path, nargs="+", metavar="FOLDER", help="folders that hold SVD, ACTalker's files and Whisper"
    )
    verb.add_argument("--out", type=Path, metavar="DIR", help="folder for the weights (default: the checkpoints)")


def convert(options: argparse.Namespace) -> tuple[dict, str]:
    """Make the full tier's weights."""
    from actalker.checkpoints import folder
    from actalker.convert.conversion import convert as make

    facts = make(options.folders, options.out or folder())
    lines = [f"{Path(facts['out']) / name}: {numbers:,} numbers" for name, numbers in facts["files"].items()]
    state = "trained" if facts["trained"] else "untrained: control starts as Stable Video Diffusion without it"
    return facts, "\n".join([*lines, f"The weights are {state}."])


def add_train_full(verb: argparse.ArgumentParser) -> None:
    """Options of `actalker train --tier full`."""
    default = FilmTraining()
    verb.add_argument("--tier", choices=["embedded", "full"], default="embedded", help="what is trained")
    verb.add_argument("--clips", type=Path, metavar="F", help="full tier: text file with a video in each line")
    verb.add_argument("--check", action="store_true", help="full tier: only say what is wrong with which clip")
    verb.add_argument("--start", type=Path, metavar="F", help="full tier: weights to begin from (default: converted)")
    verb.add_argument("--size", type=int, default=512, help="full tier: short side of the film (default 512)")
    verb.add_argument(
        "--frames", type=int, default=default.frames, help=f"full tier: a window (default {default.frames})"
    )
    verb.add_argument(
        "--rate", type=float, default=default.rate, help=f"full tier: of learning (default {default.rate})"
    )
    verb.add_argument("--all-parameters", action="store_true", help="full tier: teach Stable Video Diffusion, too")
    verb.add_argument("--checkpointing", action="store_true", help="full tier: less memory, more time")
    verb.add_argument("--precision", choices=["no", "bf16", "fp16"], default="no", help="full tier: mixed precision")


def train_full(options: argparse.Namespace) -> tuple[dict, str]:
    """Check clips, or train the full tier on them."""
    if options.clips is None:
        raise InputError("The full tier is trained on clips; give --clips with a file that names them.")
    from actalker import checkpoints
    from actalker.training import films

    start = options.start or checkpoints.folder() / checkpoints.DENOISER
    config, _ = checkpoints.read_metadata(start)
    check_counts(options, "frames", "size")
    videos = films.read_manifest(options.clips)
    if options.check:
        report = films.check_clips(videos, config, options.frames, options.progress)
        return {"clips": report}, "\n".join(f"{video}: {said}" for video, said in report.items())
    if options.out is None:
        raise InputError("Training needs a folder for state, log and weights; give --out.")
    return _train_on(options, start, videos)


def _train_on(options: argparse.Namespace, start: Path, videos: list[Path]) -> tuple[dict, str]:
    from actalker import checkpoints
    from actalker.pipelines.vae import Vae
    from actalker.training import film_loop, films
    from actalker.training.processes import first_process_first

    names = ("frames", "rate", "seed", "all_parameters", "checkpointing", "precision")
    chosen = {name: getattr(options, name) for name in names}
    chosen |= {name: getattr(options, name) for name in ("steps", "batch") if getattr(options, name) is not None}
    training, folder = FilmTraining(**chosen), checkpoints.folder()
    checkpoints.require_memory({start: checkpoints.TRAINED}, checkpoints.free_memory())
    vae = Vae.build(checkpoints.read_metadata(folder / checkpoints.VAE)[0])
    checkpoints.fill_vae(vae.model, folder / checkpoints.VAE, checkpoints.TRAINED)
    network = checkpoints.load_denoiser(start)
    own = network.config.encoders.senses == "own"
    senses = None if own else checkpoints.load_perception(folder / checkpoints.PERCEPTION)
    cache = options.out / "clips"
    with first_process_first():
        shots = films.cached_shots(videos, cache, network.config, training.frames, options.size, vae, senses)
    checkpoint = film_loop.train_films(network, shots, training, options.out)
    return {"checkpoint": str(checkpoint), "steps": training.steps}, f"{checkpoint}: {training.steps} steps."


def _map(text: str) -> tuple[str, dict[str, str]]:
    name, _, changes = text.partition("=")
    if not name or not changes:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=REGION:SOURCE, such as lips=head:still,gaze:audio")
    return name, PRESETS["joint"] | dict(region(change.replace(":", "=", 1)) for change in changes.split(","))
