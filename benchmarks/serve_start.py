"""The service is ready soon after it was started, with the model of the gallery in memory.

Claims: from the start of `kenspeckle serve` to its line `Ready`, every surface on, at most 1.5 s
with an index of 10,000 references and at most 2 s with 100,000 (median of the processes, files in
the system's cache). Beside them: processor seconds until then, and the first answer after it.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks._harness import Report, arguments, case, pinned, save, scratch

SEED, PROCESSES = 3, 9
WANTED = {10_000: 1.5, 100_000: 2.0}
NOT_READY = 120


def build(path: str, count: int) -> dict[str, Any]:
    """Write the index that is served."""
    from benchmarks._pictures import synthetic_index

    synthetic_index(Path(path), count, SEED)
    return {"bytes": Path(path).stat().st_size}


def started(path: Path, photo: bytes) -> dict[str, float]:
    """Seconds from the start of one process to its line, and of the first answer after it."""
    command = [sys.executable, "-m", "kenspeckle", "serve", str(path), "--port", str(free_port())]
    begun = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=path.parent,
        env=pinned(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        ready = time.perf_counter()
        found = re.search(r"http://([\d.]+):(\d+)", line)
        if found is None:
            raise RuntimeError(f"not ready: {line}")
        spent = processor_seconds(process.pid)
        answered(found[1], int(found[2]), photo)
        first = time.perf_counter()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(NOT_READY)
        process.stdout.close()
    stopped = time.perf_counter()
    return {
        "ready": ready - begun,
        "processor": spent,
        "first": first - ready,
        "stop": stopped - first,
    }


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processor_seconds(process: int) -> float:
    """Processor seconds, of user and system, that a process has spent."""
    ticks = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")


def answered(host: str, port: int, photo: bytes) -> None:
    """Ask which item a photo shows."""
    line = http.client.HTTPConnection(host, port, timeout=60)
    line.request("POST", "/v1/galleries/-/identify", photo, {"Content-Type": "image/jpeg"})
    answer = line.getresponse()
    body = answer.read()
    line.close()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {body[:200]!r}")


def main() -> None:
    from benchmarks._pictures import photograph

    quick = arguments(__doc__).quick
    processes = 2 if quick else PROCESSES
    photo = photograph("1024", 0, SEED)
    data: dict[str, Any] = {}
    rows = []
    with scratch("start") as folder:
        for count, wanted in WANTED.items():
            path = folder / f"things-{count}.ken"
            case(build, path=str(path), count=count)
            started(path, photo)  # the files get into the system's cache
            runs = [started(path, photo) for _ in range(processes)]
            data[str(count)] = runs
            middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            rows.append(
                [
                    f"{count:,}",
                    f"{middle['ready']:.2f}",
                    f"{max(run['ready'] for run in runs):.2f}",
                    f"{wanted:g}",
                    f"{middle['processor']:.2f}",
                    f"{1000 * middle['first']:.0f}",
                    f"{middle['stop']:.2f}",
                ]
            )
    header = (
        "references",
        "ready, s",
        "slowest, s",
        "wanted, s",
        "processor, s",
        "first answer, ms",
    )
    claim = (__doc__ or "").partition("\n")[0]
    notes = [
        f"median of {processes} processes each; every surface on, model loaded, rule fitted before",
        "the first answer is for a JPEG of 1024 × 768, after the line `Ready`",
    ]
    report = Report("serve_start", claim, (*header, "stop, s"), rows, {"runs": data}, SEED, notes)
    save(report, quick=quick)


if __name__ == "__main__":
    main()
