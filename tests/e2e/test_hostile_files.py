"""A folder of hostile pictures: nothing crashes, each bad one is named, each sound one is indexed.

`make quick` takes a thousand files, the whole suite ten thousand.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kenspeckle.catalog.entry import shown
from kenspeckle.store import open_store
from tests.hostile import Hostile, kinds, write

MEASURED = """
import atexit, sys
def tell():
    with open("/proc/self/status") as status:
        peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    sys.stderr.write(f"peak {int(peak) // 1024} MB\\n")
atexit.register(tell)
from kenspeckle.cli.main import main
main()
"""
"""The command as it is; at the end it tells its peak memory on stderr. (What `getrusage` tells
would begin with that of the process which started it.)"""
PEAK_MB = 400
"""Bound for two callers, each with a picture of up to 50 megapixels, whatever the folder's size."""


def command(*words: str) -> tuple[subprocess.CompletedProcess[str], int]:
    """Run one command; what it said, and its peak memory in MB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *words], capture_output=True, text=True, timeout=280
    )
    assert "Traceback" not in done.stderr, done.stderr
    peak = done.stderr.rstrip().rsplit("\n", 1)[-1]
    return done, int(peak.split()[1])


def indexed(folder: Path, index: Path) -> tuple[dict[str, Any], int]:
    done, peak = command(
        "index", str(folder), "--out", str(index), "--model", "dummy", "--no-calibrate", "--json"
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report, peak


def check(files: list[Hostile], folder: Path, index: Path) -> int:
    """Index the folder and hold the report against what each file has to come to."""
    report, peak = indexed(folder, index)
    failed = {one["path"]: one["error"] for one in report["failed"]}
    left_out = {one["path"] for one in report["skipped"]}
    with open_store(index) as store:
        held = {reference.path for _, reference in store.references()}
    wrong = []
    for file in files:
        path = shown(str(file.path.relative_to(folder)))
        fates = (path in held) + (path in failed) + (path in left_out)
        if fates != 1 or (file.decodes is not None and file.decodes != (path in held)):
            wrong.append(f"{file.kind}: {path}: {failed.get(path, 'indexed')}")
    assert not wrong, wrong[:20]
    assert len(held) + len(failed) + len(left_out) == len(files)
    assert report["added"] == len(held)
    for path, error in failed.items():
        assert error.startswith(path), error
        assert error.isprintable(), error
    return peak


def test_a_thousand(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    files = write(folder, 1000)
    assert {file.kind for file in files} == set(kinds())
    assert check(files, folder, tmp_path / "gallery.ken") <= PEAK_MB


@pytest.mark.slow
def test_ten_thousand_take_no_more_memory(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    files = write(folder, 10_000, seed=1)
    assert check(files, folder, tmp_path / "gallery.ken") <= PEAK_MB


def test_the_second_run_looks_at_bad_ones_alone(tmp_path: Path) -> None:
    folder, index = tmp_path / "pictures", tmp_path / "gallery.ken"
    write(folder, len(kinds()))
    first, _ = indexed(folder, index)
    second, _ = indexed(folder, index)
    assert second["unchanged"] == first["added"]
    assert second["added"] == 0
    assert second["failed"] == first["failed"]


def test_each_photo_is_answered_or_named(tmp_path: Path) -> None:
    folder, index = tmp_path / "pictures", tmp_path / "gallery.ken"
    files = write(folder, 2 * len(kinds()))
    indexed(folder, index)
    asked = [str(file.path) for file in files]
    done, peak = command("identify", *asked, "--index", str(index), "--json")
    assert done.returncode == 1  # some failed, though all others are answered
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(files)
    for file, answer in zip(files, answers, strict=True):
        if file.decodes is not None:
            assert ("error" not in answer) == file.decodes, f"{file.kind}: {answer}"
    assert peak <= PEAK_MB


def test_one_broken_among_a_thousand(tmp_path: Path) -> None:
    from tests.hostile import saved

    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(1000):
        data = saved("JPEG", number)
        broken = number == 500
        (folder / f"{number:04d}.jpg").write_bytes(data[: len(data) // 2] if broken else data)
    report, _ = indexed(folder, tmp_path / "gallery.ken")
    assert report["added"] == 999
    assert [one["path"] for one in report["failed"]] == ["0500.jpg"]
