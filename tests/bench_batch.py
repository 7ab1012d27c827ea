"""How much quicker two workers on Ray are than one process, printed, with the frames compared bit for bit.

    python tests/bench_batch.py [ROWS]

ROWS (200) short clips are rendered both ways, one after the other, by the command that a user runs; loading included.
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

ROWS, ENOUGH = 200, 1.6  # the speed-up that is wanted on two cores
log = logging.getLogger("bench")


def main() -> None:
    """Print the times, their ratio, and whether the frames are the same."""
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    log.setLevel(logging.INFO)
    rows = good_rows(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
    log.info("%d rows, %d cores, load %.1f before the start", len(rows), os.cpu_count(), os.getloadavg()[0])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_media(folder)
        manifest = write_rows(folder / "rows.jsonl", rows)
        spent = {workers: _render(manifest, folder / str(workers), workers) for workers in (1, 2)}
        same = all(_same(*(folder / str(workers) / f"{row['name']}.mp4" for workers in (1, 2))) for row in rows)
    log.info("frames %s; speed-up %.2f, wanted %.1f", "are the same" if same else "DIFFER", spent[1] / spent[2], ENOUGH)


def _render(manifest: Path, out: Path, workers: int) -> float:
    command = [sys.executable, "-m", "actalker", "batch", manifest, "--out", out, "--workers", str(workers), "--json"]
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=True)
    facts = json.loads(done.stdout)
    busy = sum(one["timings"]["total"] for one in listed(out / "results.jsonl"))
    spread = facts["seconds_per_clip"]
    log.info(
        "%d workers: %.1f s; a clip %.2f s (%.2f to %.2f), %.0f %% of their time; a worker takes %d MB",
        workers,
        facts["seconds"],
        spread["median"],
        spread["low"],
        spread["high"],
        100 * busy / facts["seconds"] / workers,
        facts["worker_memory_mb"],
    )
    return facts["seconds"]


def _same(one: Path, two: Path) -> bool:
    return bool((frames_of(one) == frames_of(two)).all())


if __name__ == "__main__":
    main()
