"""The summary of a run counts the pictures that lack their end, and names those of which more is missing."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.helpers.commands import Run
from tests.helpers.images import encode

PICTURE = Image.effect_noise((320, 400), 90).convert("RGB")


def test_pictures_without_their_end_are_counted(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    baseline, progressive = encode(PICTURE, "JPEG"), encode(PICTURE, "JPEG", progressive=True)
    files = {
        "whole.jpg": baseline,
        "motion.jpg": progressive + b"\xff\xda" * 200,
        "no_end.jpg": baseline[:-2],
        "most.jpg": baseline[: len(baseline) * 98 // 100],
        "half.jpg": baseline[: len(baseline) // 2],
        "last_scan.jpg": progressive[:-100],
        "other_scan.jpg": progressive[: progressive.rindex(b"\xff\xda") - 100],
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    done = run("colourHeuristic.py", "partition", folder, "a.h5", "b.h5", 1)
    assert "a.h5: 5 images" in done.stdout
    lines = dict(line.split(": ", 1) for line in done.stderr.splitlines())
    incomplete = lines["incomplete, because only the end of the file is missing"]
    assert incomplete == "3 images: last_scan.jpg; most.jpg; no_end.jpg"
    undecodable = lines["skipped because they cannot be decoded"]
    assert undecodable.startswith("2 images: half.jpg (cut short: ")
    assert (
        "; other_scan.jpg (cut short: " in undecodable and "scans are whole, more are missing)" in undecodable
    )
    shown = run("colourHeuristic.py", "identify", "a.h5", "--all")
    assert len(shown.stdout.splitlines()) >= 5
