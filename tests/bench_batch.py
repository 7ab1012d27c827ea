"""How much quicker two workers on Ray are than one process, printed; the frames are compared bit for bit.

    python tests/bench_batch.py [ROWS]

ROWS (200) clips of two seconds at 512 x 512 are rendered by the command that a user runs, loading included: by one
process on one core, by one process on all of them, which renders frames side by side, and by two workers.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from batch_rows import ROOT, frames_of, good_rows, listed, write_media, write_rows  # noqa: E402

WAYS = ("one process on one core", "one process", "two workers")
SECONDS, USUAL = 2.0, {"size": 512, "steps": 4}
ROWS, ENOUGH = 200, 1.6  # the speed-up that is wanted on two cores
log = logging.getLogger("bench")


def main() -> None:
    """Print the times, their ratio, and whether the frames are the same."""
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    log.setLevel(logging.INFO)
    rows = [row | USUAL for row in good_rows(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)]
    log.info("%d rows, %d cores, load %.1f before the start", len(rows), os.cpu_count(), os.getloadavg()[0])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_media(folder, SECONDS)
        manifest = write_rows(folder / "rows.jsonl", rows)
        spent = {way: _render(manifest, folder / way, way) for way in WAYS}
        same = all(_same(*(folder / way / f"{row['name']}.mp4" for way in WAYS)) for row in rows)
    log.info("frames %s", "are the same" if same else "DIFFER")
    for way in WAYS[:2]:
        log.info("two workers against %s: speed-up %.2f, wanted %.1f", way, spent[way] / spent[WAYS[2]], ENOUGH)


def _render(manifest: Path, out: Path, way: str) -> float:
    workers = 2 if way == WAYS[2] else 1
    command = [sys.executable, "-m", "actalker", "batch", manifest, "--out", out, "--workers", str(workers), "--json"]
    if way == WAYS[0]:
        command = ["taskset", "--cpu-list", "0", *command]
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=True)
    facts = json.loads(done.stdout)
    busy = sum(one["timings"]["total"] for one in listed(out / "results.jsonl"))
    spread = facts["seconds_per_clip"]
    log.info(
        "%s: %.1f s; a clip %.2f s (%.2f to %.2f), %.0f %% of their time; a worker takes %d MB",
        way,
        facts["seconds"],
        spread["median"],
        spread["low"],
        spread["high"],
        100 * busy / facts["seconds"] / workers,
        facts["worker_memory_mb"],
    )
    return facts["seconds"]


def _same(*videos: Path) -> bool:
    one, *others = map(frames_of, videos)
    return all(bool((one == other).all()) for other in others)


if __name__ == "__main__":
    main()
