"""How a job's progress and a result's facts are told, as HTML."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from actalker.pipelines import Request
from actalker.pipelines.check import Findings
from demo.notes import Note
from demo.runner import STOPPING, Update
from demo.texts import Words

STAGES = ("measuring", "denoising", "rendering", "encoding")
JUST_AS_LONG, SAME_RATE = 0.1, 0.01  # seconds, frames a second
COMPARING = ("rendering", "watching", "scoring", "drawing")


def progress(words: Words, update: Update) -> str:
    """The status while a video is made: all stages with what is done of each, and a sentence."""
    return _bars(words, STAGES, update) + Note("hint", _sentence(words, update)).html


def comparing(words: Words, update: Update, modes: Sequence[str]) -> str:
    """The status while modes are compared: a bar for each mode and one for what follows."""
    mode, _, stage = update.stage.rpartition(": ")
    at = modes.index(mode) if mode in modes else len(modes) if stage in COMPARING[2:] else -1
    shares = [
        1.0 if number < at else _of_mode(stage, update.done) if number == at else 0.0 for number in range(len(modes))
    ]
    shares.append(0.5 if at == len(modes) else 0.0)
    names = [*(words(f"mode.{name}") for name in modes), words("stage.scoring")]
    sentence = _sentence(words, Update(stage, update.done, update.ahead))
    if mode:
        sentence = words("progress.of_mode", mode=words(f"mode.{mode}"), words=sentence)
    return _list(zip(names, shares, strict=True)) + Note("hint", sentence).html


def facts(words: Words, info: dict) -> str:
    """The facts about a finished video as a table."""
    return table(words("facts"), _facts(words, info))


def table(caption: str, rows: Iterable[tuple[str, str]]) -> str:
    """Names and values as a table of two columns, its caption heard but not seen."""
    cells = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(fact)}</td></tr>' for name, fact in rows)
    return f"<table class='facts'><caption>{escape(caption)}</caption><tbody>{cells}</tbody></table>"


def grid(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a heading for each column; the first cell of a row is its heading."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f"<div class='scroll' tabindex='0' role='group' aria-label='{escape(caption, quote=True)}'>"
        f"<table class='scores'>"
        f"<caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def check(words: Words, found: Findings, request: Request) -> str:
    """What will become of the files and what the run will take, as a list; what is missing, as long as something is."""
    if found.estimate is None:
        fault = found.faults.get("request") if found.photo and (found.speech or found.driving) else None
        return (Note("fault", words.fault(fault)) if fault else Note("hint", words("status.idle"))).html
    clip, seconds, fps = found.driving, f"{found.seconds:.1f}", float(request.fps)
    lines = [words("check.length", seconds=seconds)]
    followed = {source for regions in request.maps for source in regions.values()}
    for signal, file in (("audio", found.speech), ("video", clip)):
        if file and signal not in followed:
            lines.append(words(f"check.unused.{signal}"))
    if clip and "video" in followed and abs(clip.seconds - found.seconds) > JUST_AS_LONG:
        how = "check.longer" if clip.seconds > found.seconds else "check.shorter"
        lines.append(words(how, clip=f"{clip.seconds:.1f}", seconds=seconds))
    if clip and "video" in followed and abs(clip.fps - fps) > SAME_RATE:
        lines.append(words("check.fps", clip=f"{clip.fps:.4g}", fps=f"{fps:.4g}"))
    takes = max(1, round(found.estimate.seconds))
    lines.append(words("check.estimate", seconds=takes, memory=found.estimate.memory_mb))
    ready = Note("good", words("status.ready_to_go")).html
    return f"{ready}<ul class='check'>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def pieces(paths: Sequence[Path]) -> str:
    """What can be played already, for the page's script."""
    return f"<i data-pieces='{escape(json.dumps([str(path) for path in paths]), quote=True)}'></i>"


def _facts(words: Words, info: dict) -> list[tuple[str, str]]:
    def row(name: str, **blanks: object) -> tuple[str, str]:
        return words(f"facts.{name}"), words(f"facts.{name}.value", **blanks)

    told = [
        row("length", seconds=f"{info['seconds']:.2f}", frames=info["frames"], fps=f"{info['fps']:g}"),
        row("picture", width=info["width"], height=info["height"]),
        row("time", seconds=f"{info['timings']['total']:.1f}", factor=f"{info['realtime_factor']:.2f}"),
        (words("facts.seed"), str(info["seed"])),
    ]
    if info["driver_frames_filled"]:
        told.append(row("clip", count=info["driver_frames_filled"]))
    return told


def _bars(words: Words, stages: Sequence[str], update: Update) -> str:
    return _list((words(f"stage.{name}"), _share(name, stages, update)) for name in stages)


def _list(stages: Iterable[tuple[str, float]]) -> str:
    return f"<ol class='stages'>{''.join(_stage(name, share) for name, share in stages)}</ol>"


def _stage(name: str, share: float) -> str:
    percent = round(100 * share)
    state = "done" if percent == 100 else "now" if percent else "next"
    bar = f"<i style='width: {percent}%'></i>"
    about = f"role='progressbar' aria-label='{escape(name, quote=True)}' aria-valuenow='{percent}'"
    return f"<li class='{state}'><span class='bar' {about}>{bar}</span>{escape(name)}</li>"


def _share(name: str, stages: Sequence[str], update: Update) -> float:
    """How much of a stage is done. Frames are encoded while they are rendered, so those two advance together."""
    stage = "encoding" if (name, update.stage) == ("encoding", "rendering") else update.stage
    if stage not in stages or stages.index(name) > stages.index(stage):
        return 0.0
    return min(max(update.done, 0.01), 1.0) if name == stage else 1.0


def _of_mode(stage: str, done: float) -> float:
    """How much of a mode is done: rendering takes about two thirds of it, watching the result the rest."""
    return max(0.01, {"rendering": 0.15 + 0.5 * done, "watching": 0.8}.get(stage, 0.1 * done))


def _sentence(words: Words, update: Update) -> str:
    if update.stage == STOPPING:
        return words("status.stopping")
    if update.ahead:
        return words("status.ahead", count=update.ahead)
    if not update.stage:
        return words("status.getting_ready")
    told = words("progress.share", stage=words(f"stage.{update.stage}"), percent=round(100 * update.done))
    if update.left is not None and update.done < 1:
        left = words("progress.left", seconds=max(1, round(update.left)))
        told = words("progress.join", first=told, second=left)
    return words("progress.sentence", words=told)
