"""What every benchmark shares: pinned pools, one process a case, sides alternated, a report.

A benchmark is a module with cases (functions of plain data that return plain data) and a `main`
that runs them by `case`, each in a fresh process, and hands a `Report` to `save`. Ratios come
first: they carry over to another machine, seconds do not.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")
POOLS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
PACKAGES = ("kenspeckle", "numpy", "pillow", "onnxruntime", "faiss-cpu")
FLAGS = ("avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "amx_int8")


@dataclass(frozen=True, slots=True)
class Report:
    """One claim with its evidence: rows of the table, and everything that was measured."""

    name: str
    claim: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    data: Mapping[str, Any]
    seed: int = 0
    notes: Sequence[str] = field(default_factory=tuple)


def pinned(threads: int = 1) -> dict[str, str]:
    """An environment that holds every pool of the array libraries to `threads`."""
    return {**os.environ, **dict.fromkeys(POOLS, str(threads))}


def arguments(doc: str | None) -> argparse.Namespace:
    """The command line every benchmark has."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a small part; no claim")
    return parser.parse_args()


def case(function: Callable[..., Any], *, threads: int = 1, **given: Any) -> Any:
    """Run a case of a benchmark in a fresh process with pinned pools; its JSON result.

    The result gets `peak_mb` (VmHWM) and `pools` (what threadpoolctl saw at the end) beside it.
    """
    module = sys.modules[function.__module__]
    spec = getattr(module, "__spec__", None)
    name = spec.name if spec else function.__module__
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "benchmarks._harness", f"{name}:{function.__name__}"]
        command += [json.dumps(given), str(answer)]
        subprocess.run(command, env=pinned(threads), check=True)
        return json.loads(answer.read_text(encoding="utf-8"))


def alternated(sides: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each side, measured in turn so that a slow moment hits all of them alike."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            start = time.perf_counter()
            sides[name]()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed.

    >>> percentile([3, 1, 2], 0.5), percentile([1], 0.95)
    (2, 1)
    """
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, instruction sets that matter, system."""
    info: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            info.setdefault(key.strip(), value.strip())
    flags = set(info.get("flags", "").split())
    return {
        "processor": info.get("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "instructions": [flag for flag in FLAGS if flag in flags],
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Releases of what the figures depend on."""
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def pools() -> list[dict[str, Any]]:
    """Every thread pool that threadpoolctl sees in this process, and the session's."""
    seen: list[dict[str, Any]] = []
    with contextlib.suppress(ImportError):
        from threadpoolctl import threadpool_info

        seen += [
            {"pool": f"{one['user_api']} ({one['internal_api']})", "threads": one["num_threads"]}
            for one in threadpool_info()
        ]
    if "onnxruntime" in sys.modules:
        from kenspeckle import _threads

        seen.append({"pool": "ONNX Runtime intra-op of our sessions", "threads": _threads.INTRA_OP})
    if "faiss" in sys.modules:
        seen.append({"pool": "FAISS", "threads": sys.modules["faiss"].omp_get_max_threads()})
    return seen


def memory(field_name: str = "VmHWM") -> float:
    """Peak (`VmHWM`) or present (`VmRSS`) resident memory of this process, MB of 10^6 bytes."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(field_name + ":"):
                return int(line.split()[1]) * 1024 / 1e6
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


@contextlib.contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A folder for files that only this run needs; erased at the end."""
    with tempfile.TemporaryDirectory(prefix=f"kenspeckle-{name}-") as folder:
        yield Path(folder)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table.

    >>> print(markdown(["what", "ratio"], [["a", "1.2"]]))
    | what | ratio |
    | --- | --- |
    | a | 1.2 |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def save(report: Report, *, quick: bool = False) -> None:
    """Print the table and write `results/NAME.json` and `.md`; a quick run is printed only."""
    where, date = machine(), datetime.datetime.now(datetime.UTC).date().isoformat()
    held = ", ".join(f"{name} {os.environ.get(name, 'not set')}" for name in POOLS[:3])
    setting = [
        f"{where['processor']}, {where['cores']} cores, {' '.join(where['instructions'])}",
        f"Python {where['python']}, "
        + ", ".join(f"{name} {version}" for name, version in versions().items()),
        f"pools: {held}; ONNX Runtime intra-op 1 unless a row says otherwise",
        f"seed {report.seed}, {date}" + (", QUICK RUN: no claim" if quick else ""),
    ]
    parts = [f"# {report.name}", report.claim, markdown(report.header, report.rows)]
    parts += ["\n".join(f"- {note}" for note in [*report.notes, *setting])]
    text = "\n\n".join(parts) + "\n"
    print(text, flush=True)
    if quick:
        return
    content = {
        "name": report.name,
        "claim": report.claim,
        "date": date,
        "seed": report.seed,
        "machine": where,
        "versions": versions(),
        "environment": {name: os.environ.get(name, "") for name in POOLS},
        "table": [list(report.header), *[list(row) for row in report.rows]],
        "measured": report.data,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{report.name}.md").write_text(text, encoding="utf-8")
    data = json.dumps(content, indent=1) + "\n"
    (RESULTS / f"{report.name}.json").write_text(data, encoding="utf-8")


def main() -> None:
    """Run one case in this process: `MODULE:FUNCTION JSON ANSWER`."""
    target, given, answer = sys.argv[1:]
    module, _, function = target.partition(":")
    result = getattr(importlib.import_module(module), function)(**json.loads(given))
    if isinstance(result, dict):
        result |= {"peak_mb": memory(), "pools": pools()}
    Path(answer).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
