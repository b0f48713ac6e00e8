"""The benchmarks run; their figures are not judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=880)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["cold_start", "memory", "identify_latency", "serve_load"])
def test_a_quick_run_prints_a_table_and_writes_nothing(name: str) -> None:
    results = ROOT / "benchmarks" / "results" / f"{name}.md"
    before = results.read_bytes() if results.exists() else None
    done = bench(name, "--quick")
    assert done.returncode == 0, done.stderr
    assert "| --- |" in done.stdout
    assert "QUICK RUN" in done.stdout
    assert "OMP_NUM_THREADS 1" in done.stdout
    assert (results.read_bytes() if results.exists() else None) == before


def test_an_unknown_name_is_refused() -> None:
    done = bench("index_troughput")
    assert done.returncode == 2
    assert "index_throughput" in done.stderr


def test_the_pictures_are_drawn_from_the_seed() -> None:
    code = (
        "from benchmarks._pictures import photograph as p;"
        "assert p('348', 3, 1) == p('348', 3, 1) != p('348', 4, 1);"
        "assert 150_000 < len(p('1024', 0)) < 260_000"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=240)


def test_the_harness_states_its_examples() -> None:
    command = [sys.executable, "-m", "doctest", "benchmarks/_harness.py"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=240)
