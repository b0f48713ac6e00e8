"""A picture over HTTP costs little more than in the process, and what is too much is refused.

Claims, for JPEGs of about 1024 × 768, 10,000 references, everything on one machine, the clients'
process included:

- 32 clients get at least 85 % of the pictures a second that indexing in the process does; 128 at
  least 95 % of what 32 get; 32 at least 1.15 × what they get of the same server with one locked
  session. A lone client waits (p50) at most 1.25 × as long as `identify` takes in the process.
- batches across requests lose nothing where they do not pay (0.97 × the server without them), and
  give 4 × the rate where a call costs 20 ms whatever the batch.
- when twice as much is asked as can be done, p99 of what is answered is at most 2 × the queue's
  length ÷ the rate, everybody else is refused within 50 ms, and `/health` answers within 50 ms
  (p99).

The sides take turns; clients, server and pipeline are processes of their own. Indexing and the 32
clients that are compared with it do so in turns of a few seconds: a machine that others share is
faster and slower from one minute to the next by more than they differ.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._harness import Report, arguments, case, percentile, pinned, save, scratch

SEED = 7
REFERENCES, QUEUE = 10_000, 64
PATH = "/v1/galleries/-/identify"
CLIENTS = (1, 8, 32, 128)
MANY = 12
"""Ratios of which the quartiles are told too."""
LOCKED = ("session", "cores", "embedder", "one")
INDEXING, BESIDE, PROCESS = "indexing", "usual 32 beside indexing", "identify in process"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: pictures, turns with indexing, rounds of the rest, seconds of each run
    and of the overload."""

    pictures: int = 256
    turns: int = 20
    rounds: int = 5
    seconds: float = 8.0
    overload: float = 20.0


QUICK = Scale(pictures=24, turns=2, rounds=1, seconds=1.5, overload=3.0)


def make(folder: str, count: int) -> dict[str, Any]:
    """Pictures of both sizes, an index of the default model, and one of the dummy model."""
    from dataclasses import replace

    from benchmarks._pictures import folder_of, synthetic_index
    from kenspeckle import Gallery
    from kenspeckle.config import IndexSettings, ModelSettings, Settings

    place = Path(folder)
    kilobytes = folder_of(place / "photos", "1024", count, SEED)
    folder_of(place / "small", "348", 16, SEED)
    synthetic_index(place / "gallery.ken", REFERENCES, SEED)
    index = IndexSettings(calibrate=False)
    settings = replace(Settings(), models=ModelSettings(name="dummy"), index=index)
    with Gallery.create(place / "dummy.ken", settings=settings) as gallery:
        gallery.index(place / "small")
    return {"kilobytes": kilobytes}


def indexing(folder: str) -> dict[str, Any]:
    """Pictures a second of one run of indexing, and the core-seconds of each."""
    from dataclasses import replace

    from kenspeckle import Gallery
    from kenspeckle.config import IndexSettings, Settings

    settings = replace(Settings(), index=IndexSettings(calibrate=False))
    with (
        tempfile.TemporaryDirectory() as made,
        Gallery.create(Path(made) / "made.ken", settings=settings) as gallery,
    ):
        gallery.vector(next((Path(folder) / "photos").iterdir()))  # loaded and used, as in a server
        start, busy = time.perf_counter(), time.process_time()
        added = gallery.index(Path(folder) / "photos").added
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
    return {"rate": added / seconds, "core_seconds": busy / added}


def identifying(folder: str) -> dict[str, Any]:
    """Pictures a second of `identify` by one caller a core, and the seconds of a lone one."""
    from kenspeckle import Gallery
    from kenspeckle.vectors.pipeline import pooled

    place, answers = Path(folder), []
    data = [path.read_bytes() for path in sorted((place / "photos").iterdir())]
    with Gallery.open(place / "gallery.ken") as gallery:
        gallery.identify(data[0])
        start = time.perf_counter()
        for done in pooled(data, gallery.identify):
            assert done.error is None
        rate = len(data) / (time.perf_counter() - start)
        for picture in data:
            start = time.perf_counter()
            gallery.identify(picture)
            answers.append(time.perf_counter() - start)
    return {"rate": rate, "p50": percentile(answers, 0.5)}


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs: its address, and its process."""

    base: str
    process: int

    def busy(self) -> float:
        """Core-seconds that it has taken so far; 0 where the system does not say."""
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{self.process}/stat").read_text(encoding="utf-8")
            user, system = text.rpartition(")")[2].split()[11:13]
            return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        return 0.0


@contextlib.contextmanager
def served(side: str, folder: Path, index: str = "gallery.ken") -> Iterator[Server]:
    """A server of that side on a free port."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {**pinned(), "KENSPECKLE_SERVE_QUEUE": str(QUEUE)}
    environment |= {"KENSPECKLE_MODELS_HOME": str(folder / "home"), "PYTHONPATH": str(Path.cwd())}
    with (folder / f"{side}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks._load_server", side, index, "--port", port],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        found = re.search(r"http://[\w.]+:\d+", line := process.stdout.readline())
        if found is None:
            said = (folder / f"{side}.log").read_text(encoding="utf-8")[-2000:]
            raise RuntimeError(f"the server did not start: {line}{said}")
        yield Server(found[0], process.pid)
    finally:
        process.terminate()
        process.wait(60)


def load(server: Server, pictures: Path, **given: Any) -> dict[str, Any]:
    """One run of the clients; their answer, and the core-seconds of a request on both sides."""
    asked = {"base": server.base, "path": PATH, "pictures": str(pictures), **given}
    busy = server.busy()
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "benchmarks._load_clients", json.dumps(asked), str(answer)]
        subprocess.run(command, check=True, env=pinned())
        found: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    found["core_seconds"] = (server.busy() - busy + found["busy"]) / max(1, found["answered"])
    return found


def summed(run: Mapping[str, Any]) -> dict[str, Any]:
    """What one run says: the rate, p50 and p99 of what was answered, and what was not."""
    good = run["seconds"].get("200", [])
    others = {status: len(values) for status, values in run["seconds"].items() if status != "200"}
    return {
        "rate": len(good) / run["measured"],
        "p50": percentile(good, 0.5) if good else None,
        "p99": percentile(good, 0.99) if good else None,
        "others": others,
        "health_p99": percentile(run["health"], 0.99) if run["health"] else None,
        "clients_busy": run["busy"] / run["measured"],
        "core_seconds": run["core_seconds"],
    }


def turns(folder: Path, scale: Scale) -> dict[str, list[dict[str, Any]]]:
    """Indexing and 32 clients, in short turns and each as often first."""
    found: dict[str, list[dict[str, Any]]] = {INDEXING: [], BESIDE: []}
    with served("usual", folder) as server:
        load(server, folder / "photos", clients=8, seconds=1.0, health=False)

        def clients() -> dict[str, Any]:
            asked = {"clients": 32, "seconds": scale.seconds / 2, "health": False}
            return summed(load(server, folder / "photos", **asked))

        sides = {INDEXING: lambda: case(indexing, folder=str(folder)), BESIDE: clients}
        for number in range(scale.turns):
            for side in sorted(sides, reverse=bool(number % 2)):
                found[side].append(sides[side]())
    return found


def rounds(folder: Path, scale: Scale) -> dict[str, list[dict[str, Any]]]:
    """Every other side once a round, in turn: identify in the process, the servers, the device."""
    photos, small = folder / "photos", folder / "small"
    found: dict[str, list[dict[str, Any]]] = {}

    def measure(
        side: str, clients: Sequence[int], pictures: Path = photos, index: str = "gallery.ken"
    ) -> None:
        with served(side, folder, index) as server:
            for count in clients:
                run = load(server, pictures, clients=count, seconds=scale.seconds, health=False)
                name = f"{side} {count}" + (" small" if pictures is small else "")
                found.setdefault(name, []).append(summed(run))

    for number in range(scale.rounds):
        found.setdefault(PROCESS, []).append(case(identifying, folder=str(folder)))
        measure("usual", CLIENTS if number % 2 == 0 else CLIENTS[::-1])
        for side in (*LOCKED, "alone"):
            measure(side, (32,))
        for side in ("usual", *LOCKED):
            measure(side, (32,), small)
        for side in ("device", "device-alone"):
            measure(side, (32,), small, "dummy.ken")
    return found


def overloaded(folder: Path, rate: float, seconds: float) -> dict[str, Any]:
    """Twice the rate is asked."""
    with served("usual", folder) as server:
        load(server, folder / "photos", clients=8, seconds=1.0, health=False)
        run = load(server, folder / "photos", rate=2 * rate, seconds=seconds, warm=2.0)
    refused = run["seconds"].get("503", [])
    kept = summed(run)
    return {
        **kept,
        "offered": 2 * rate,
        "bound": 2 * QUEUE / kept["rate"] if kept["rate"] else None,
        "refused": len(refused),
        "refused_p99": percentile(refused, 0.99) if refused else None,
        "refused_most": max(refused, default=None),
        "lost": run["lost"],
        "most_waiting": run["most_waiting"],
    }


def middle(runs: Mapping[str, Sequence[Mapping[str, Any]]], side: str, what: str = "rate") -> float:
    """Median of a figure over the rounds."""
    return statistics.median(float(run[what]) for run in runs[side])


def ratio(
    runs: Mapping[str, Any], one: tuple[str, str], other: tuple[str, str], unit: str = "pictures/s"
) -> tuple[str, str]:
    """Two figures of a side each, by their round: the median and the least and most of their
    ratios, and the medians of both. A machine is now faster and now slower, a round less so."""
    scale = 1.0 if unit == "pictures/s" else 1000.0
    (a, what), (b, that) = one, other
    ratios = [x[what] / y[that] for x, y in zip(runs[a], runs[b], strict=True)]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
    if len(ratios) >= MANY:
        low, _, high = statistics.quantiles(ratios, n=4)
        spread += f", half of them {low:.2f}–{high:.2f}"
    both = f"{scale * middle(runs, a, what):.1f} and {scale * middle(runs, b, that):.1f} {unit}"
    return spread, both


def table(runs: Mapping[str, Any], over: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """The rows that are claimed: what, wanted, measured, and the two sides of it."""
    usual, beside, ms = ("usual 32", "rate"), (BESIDE, "rate"), "ms"
    told = {
        "session": "a lock around each call of the network",
        "cores": "the same, of a session with a thread a core",
        "embedder": "a lock around resizing and network",
        "one": "one caller",
    }
    rows = [
        ("32 clients ÷ indexing", "≥ 0.85", ratio(runs, beside, (INDEXING, "rate"))),
        (
            "the same by core-seconds a picture, clients included",
            "",
            ratio(runs, (INDEXING, "core_seconds"), (BESIDE, "core_seconds"), ms),
        ),
        ("32 clients ÷ identify in process", "", ratio(runs, usual, (PROCESS, "rate"))),
        ("8 clients ÷ 32", "", ratio(runs, ("usual 8", "rate"), usual)),
        ("128 clients ÷ 32", "≥ 0.95", ratio(runs, ("usual 128", "rate"), usual)),
    ]
    for size, kind in (("", "1024 × 768"), (" small", "348 × 348")):
        for side in LOCKED:
            found = ratio(runs, (f"usual 32{size}", "rate"), (f"{side} 32{size}", "rate"))
            wanted = "" if side == "one" else "≥ 1.15"
            rows.append((f"{kind}: 32 clients ÷ {told[side]}", wanted, found))
    rows += [
        (
            "one client's p50 ÷ identify in process",
            "≤ 1.25",
            ratio(runs, ("usual 1", "p50"), (PROCESS, "p50"), ms),
        ),
        (
            "32 clients ÷ no batches, default model",
            "≥ 0.97",
            ratio(runs, usual, ("alone 32", "rate")),
        ),
        (
            "32 clients ÷ no batches, 20 ms a call",
            "≥ 4",
            ratio(runs, ("device 32 small", "rate"), ("device-alone 32 small", "rate")),
        ),
    ]
    lines = [(what, limit, *found) for what, limit, found in rows]
    offered = f"{over['offered']:.0f}/s asked, {over['rate']:.0f}/s answered"
    lines += [
        (
            "overload: p99 answered ÷ (queue ÷ rate)",
            "≤ 2",
            f"{2 * over['p99'] / over['bound']:.2f}",
            f"{1000 * over['p99']:.0f} ms; {offered}",
        ),
        (
            "overload: refused within, p99",
            "≤ 50 ms",
            f"{1000 * over['refused_p99']:.0f} ms" if over["refused"] else "nobody was",
            f"{over['refused']} refused, slowest {1000 * (over['refused_most'] or 0):.0f} ms",
        ),
        (
            "overload: /health, p99",
            "< 50 ms",
            f"{1000 * over['health_p99']:.0f} ms",
            f"{over['lost']} connections lost",
        ),
    ]
    return lines


def main() -> None:
    quick = arguments(__doc__).quick
    scale = QUICK if quick else Scale()
    with scratch("serve") as folder:
        made = case(make, folder=str(folder), count=scale.pictures)
        runs = turns(folder, scale) | rounds(folder, scale)
        over = overloaded(folder, middle(runs, "usual 32"), scale.overload)
    header = ("what", "wanted", "measured", "of")
    notes = [
        f"{scale.pictures} JPEGs of {made['kilobytes']:.0f} kB, {REFERENCES:,} references, a queue "
        f"of {QUEUE}; medians of the ratios of {scale.turns} turns with indexing and {scale.rounds}"
        f" rounds of the rest, in brackets the least and the most, {scale.seconds:g} s a run, half "
        "of it in the turns",
        "the clients' process took "
        f"{100 * middle(runs, 'usual 32', 'clients_busy'):.0f} % of one core at 32 clients; it has "
        "the same cores",
        "the device takes 20 ms a call whatever the batch, one call at a time; its pictures are of "
        "348 × 348",
    ]
    claim = (__doc__ or "").partition("\n")[0]
    data = {"runs": runs, "overload": over}
    save(Report("serve_load", claim, header, table(runs, over), data, SEED, notes), quick=quick)


if __name__ == "__main__":
    main()
