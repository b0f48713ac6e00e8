"""`kenspeckle sweep` as people run it: a table, rows in a file, killed and taken up again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
COLUMNS = ("TP", "FP", "FN", "Prec", "Recall", "F1", "95", "%", "to", "the", "first")
USUAL = ("--num-logos", 4, "--refs-per-logo", 2, "--min-matching-refs", 1)


@pytest.fixture
def collection(tmp_path: Path, drawn: Callable[..., Any]) -> Path:
    """Ten items of five pictures each, one folder an item."""
    folder = tmp_path / "collection"
    for item in range(10):
        (folder / f"thing {item}").mkdir(parents=True)
        for number in range(5):
            image = drawn(item).rotate(3 * number, fillcolor=(9, 9, 9))
            image.save(folder / f"thing {item}" / f"{number}.png")
    return folder


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_preset_is_one_command(run: Run, collection: Path, tmp_path: Path) -> None:
    done = run("sweep", collection, "--preset", "comparison", *USUAL, "--cache", "kept")
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    assert head.split() == [
        "rule",
        "T",
        "TP",
        "FP",
        "FN",
        "Prec",
        "Recall",
        "F1",
        "95",
        "%",
        "to",
        "the",
        "first",
    ]
    assert [line.split()[0] for line in lines[:8:2]] == [
        "simple", "margin", "multi-ref-mean", "multi-ref-max",
    ]  # fmt: skip
    assert lines[-1].startswith("Best F1")
    found = rows(tmp_path / "sweep-comparison.jsonl")
    assert len(found) == 8
    again = run("sweep", collection, "--preset", "comparison", *USUAL, "--cache", "kept")
    assert again.stdout == done.stdout
    assert "8 of them from sweep-comparison.jsonl; 0 regions embedded" in again.stderr
    assert rows(tmp_path / "sweep-comparison.jsonl") == found


def test_legacy_count_stands_beside_ours(run: Run, collection: Path) -> None:
    done = run("sweep", collection, *USUAL, "--count", "legacy", "--no-cache")
    head, *lines = done.stdout.splitlines()
    place = head.split().index("count")
    assert head.split()[place:] == ["count", *COLUMNS]
    asked, fitted = lines[:2], lines[2:4]
    assert [line.split()[place] for line in asked] == ["ours", "legacy"]
    assert [line.split()[place + 1] for line in fitted] == ["ours", "legacy"]  # after `fitted`


def test_rows_for_programs(run: Run, collection: Path) -> None:
    done = run("sweep", collection, *USUAL, "--json", "--thresholds", "0.5,0.6", "--no-cache")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["settings"]["threshold"] for row in found] == [0.5, 0.6, None]
    assert all({"ours", "legacy", "tpir", "fpir", "threshold"} <= set(row) for row in found)


def test_names_of_the_scripts_are_said(run: Run, collection: Path) -> None:
    env = {"NUM_LOGOS": "3", "SEED": "5", "REFS_PER_LOGO": "2", "MIN_MATCHING_REFS": "1"}
    done = run("sweep", collection, "--no-cache", env=env)
    assert done.returncode == 0, done.stderr
    assert "From the environment: MIN_MATCHING_REFS, NUM_LOGOS, REFS_PER_LOGO, SEED." in done.stderr
    assert "3 items" in done.stderr
    slip = run("sweep", collection, env={"KENSPECKLE_SEED": "5"})
    assert slip.returncode == 1
    assert "KENSPECKLE_SEED" in slip.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere"], 1, "no such file or folder"),
        (["collection", "--preset", "nonsense"], 2, "comparison"),
        (["collection", "--count", "twice"], 2, "ours or legacy"),
        (["collection", "--num-logos", "0"], 2, "--num-logos"),
        (["collection", "--regions", "truth"], 1, "truth"),
        (["collection", "--preset", "tuned-against-baseline"], 2, "--tuned"),
        (["collection", "--models", "dinov2-small"], 1, "models pull"),
        (["collection", "--out", "collection"], 1, "--out"),
    ],
)
def test_misuse_is_one_line(
    run: Run, collection: Path, words: list[str], code: int, said: str
) -> None:
    done = run("sweep", *words, "--no-cache")
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_same_seed_is_the_same_report_in_every_process(run: Run, collection: Path) -> None:
    told = []
    for seed in ("1", "2"):
        words = ("sweep", collection, *USUAL, "--preset", "comparison", "--no-cache", "--json")
        done = run(*words, "--out", f"{seed}.jsonl", env={"PYTHONHASHSEED": seed})
        told.append(timeless([json.loads(line) for line in done.stdout.splitlines()]))
    assert told[0] == told[1]
    assert len(told[0]) == 8


def timeless(found: list[dict[str, object]]) -> list[dict[str, object]]:
    """Rows without what differs from run to run."""
    return [{**row, "seconds": 0, "embedded": 0, "date": ""} for row in found]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_sweep_goes_on_without_repeating_a_row(
    run: Run, collection: Path, tmp_path: Path
) -> None:
    words = ["--thresholds", ",".join(str(t / 200) for t in range(100, 180)), "--cache", "kept"]
    words += ["--out", "rows.jsonl", "--json", *map(str, USUAL)]
    path = tmp_path / "rows.jsonl"
    env = {**os.environ, "KENSPECKLE_MODELS_NAME": "dummy", "HOME": str(tmp_path / "home")}
    seen = b""
    for least in (3, 20):
        process = subprocess.Popen(
            [sys.executable, "-m", "kenspeckle", "sweep", str(collection), *words],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 120
        while time.monotonic() < end and process.poll() is None:
            if path.exists() and path.read_bytes().count(b"\n") >= least:
                break
            time.sleep(0.002)
        process.kill()
        process.wait()
        now = path.read_bytes()
        assert now.startswith(seen[: seen.rfind(b"\n") + 1])
        seen = now
    finished = run("sweep", collection, *words)
    assert finished.returncode == 0, finished.stderr
    keys = [row["key"] for row in rows(path)]
    assert len(keys) == len(set(keys)) == 81
    assert path.read_bytes().startswith(seen[: seen.rfind(b"\n") + 1])
    whole = run("sweep", collection, *words[:-1], words[-1], "--out", "other.jsonl")
    assert whole.returncode == 0
    assert timeless(rows(path)) == timeless(rows(tmp_path / "other.jsonl"))
