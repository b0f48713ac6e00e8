"""Indexing keeps every core at work, in bounded memory, and skips what is unchanged.

Claims, for 2,000 JPEGs of about 1024 × 768, calibration off:

- at least 90 % of the work-conserving ideal, which is cores ÷ (core-seconds a picture of decode,
  reduce, resize and model, each measured alone). The model's are cores ÷ its best rate over
  callers, threads and batches of 1 or 8: what the machine can do with all cores at work. Beside it
  stands the stricter ideal of a core whose neighbour sleeps, which two busy cores cannot reach
  where they share cache and memory. Hashing, thumbnails and the store count as ours.
- at least 1.75 × the loop that takes one picture after another with a one-thread session.
- peak resident memory at most 300 MB, whatever the folder's size.
- a folder of 5,000 that has not changed: at least 50 × faster, without loading the model.

Our run, the loop and the stages alone take turns; each is a process of its own.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks._harness import Report, arguments, case, save, scratch

SEED = 1
SHARE, OVER_LOOP, MEMORY_MB, AGAIN = 0.90, 1.75, 300.0, 50.0


def make(folder: str, kind: str, count: int) -> float:
    """Write the pictures; their mean size in kB."""
    from benchmarks._pictures import folder_of

    return folder_of(Path(folder), kind, count, SEED)


def ours(folder: str, index: str) -> dict[str, Any]:
    """One `index` of the folder as a user runs it, model loading included."""
    from dataclasses import replace

    from kenspeckle import Gallery
    from kenspeckle.config import IndexSettings, Settings

    settings = replace(Settings(), index=IndexSettings(calibrate=False))
    start, busy = time.perf_counter(), time.process_time()
    existing = Path(index).exists()
    opened = Gallery.open if existing else Gallery.create
    options = {"write": True} if existing else {}
    with opened(index, settings=settings, **options) as gallery:
        report = gallery.index(folder)
    return {
        "seconds": time.perf_counter() - start,
        "core_seconds": time.process_time() - busy,
        "added": report.added,
        "same": report.same,
        "failed": len(report.failed),
        "stages": report.stages.seconds,
        "model_loaded": "onnxruntime" in sys.modules,
    }


def loop(folder: str, count: int) -> dict[str, Any]:
    """Decode, reduce, resize, model: one picture after another, one thread, nothing stored."""
    from kenspeckle.image.decode import decode
    from kenspeckle.vectors.embed import open_embedder

    embedder = open_embedder()
    paths = sorted(Path(folder).iterdir())[:count]
    start = time.perf_counter()
    for path in paths:
        embedder.vector(decode(path).image)
    return {"seconds": time.perf_counter() - start, "pictures": len(paths)}


def alone(folder: str, count: int) -> dict[str, Any]:
    """Seconds a picture of each stage, alone in one thread."""
    from kenspeckle.image.decode import decode
    from kenspeckle.vectors.embed import open_embedder
    from kenspeckle.vectors.preprocess import tensor

    recipe = open_embedder().fingerprint.recipe
    data = [path.read_bytes() for path in sorted(Path(folder).iterdir())[:count]]
    model = _model()
    found: dict[str, Any] = {}

    def measure(stage: str, work: Callable[[Any], Any], given: Sequence[Any]) -> list[Any]:
        """Time `work` over `count` calls; no result is kept meanwhile, as a run keeps none."""
        results = [work(one) for one in given[:16]]
        start, busy = time.perf_counter(), time.process_time()
        for number in range(count):
            work(given[number % len(given)])
        found[stage] = (time.perf_counter() - start) / count
        found[f"{stage}, core"] = (time.process_time() - busy) / count
        return results

    pictures = measure("decode", lambda one: decode(one).image, data)
    tensors = measure("resize", lambda image: tensor(image, recipe)[None], pictures)
    measure("model", model.run, tensors)
    return found


def bare(callers: int, intra_op: int, batch: int, count: int) -> dict[str, Any]:
    """Pictures a second of the model alone: ready tensors, one shared session."""
    import numpy as np

    model = _model(intra_op)
    rng = np.random.default_rng(SEED)
    ready = rng.standard_normal((batch, 3, model.side, model.side), dtype=np.float32)
    with ThreadPoolExecutor(callers) as pool:
        list(pool.map(lambda _: model.run(ready), range(2 * callers)))
        start = time.perf_counter()
        list(pool.map(lambda _: model.run(ready), range(-(-count // batch))))
        seconds = time.perf_counter() - start
    rate = -(-count // batch) * batch / seconds
    return {"callers": callers, "intra_op": intra_op, "batch": batch, "rate": rate}


def _model(threads: int = 1) -> Any:
    from kenspeckle.config import ModelSettings
    from kenspeckle.engines import files, table
    from kenspeckle.engines.onnx_session import OnnxModel

    located = files.locate(table.find("default"), ModelSettings())
    return OnnxModel(located.weights, sha256=located.sha256, threads=threads)


def best_model(cores: int, count: int) -> dict[str, Any]:
    """The model at its best: every split of the cores, batches of 1 and 8."""
    splits = {(1, 1), (cores, 1), (1, cores)}
    runs = [
        case(bare, callers=callers, intra_op=threads, batch=batch, count=count)
        for callers, threads in sorted(splits)
        for batch in (1, 8)
    ]
    for run in runs:
        run["core_seconds"] = run["callers"] * run["intra_op"] / run["rate"]
    return {
        "runs": runs,
        "rate": max(run["rate"] for run in runs),
        "core_seconds": min(run["core_seconds"] for run in runs),
    }


def throughput(kind: str, count: int, rounds: int, cores: int) -> dict[str, Any]:
    """Our rate, the ideal and the loop over one folder, in turn."""
    sample = min(count, 200 if kind != "12M" else 16)
    with scratch(f"index-{kind}") as folder:
        pictures = folder / "pictures"
        kilobytes = make(str(pictures), kind, count)
        runs: dict[str, list[dict[str, Any]]] = {"ours": [], "loop": [], "alone": [], "model": []}
        for number in range(rounds):
            runs["alone"].append(case(alone, folder=str(pictures), count=sample))
            runs["model"].append(best_model(cores, sample))
            index = folder / f"{number}.ken"
            runs["ours"].append(case(ours, folder=str(pictures), index=str(index)))
            runs["loop"].append(case(loop, folder=str(pictures), count=count))
        runs["alone"].append(case(alone, folder=str(pictures), count=sample))
    return {"kind": kind, "count": count, "kilobytes": kilobytes, **summary(runs, count, cores)}


def summary(runs: dict[str, list[dict[str, Any]]], count: int, cores: int) -> dict[str, Any]:
    """Medians over the rounds: of what was measured, and of the ratios that are claimed, whose two
    sides are those of one round, since a machine is now faster and now slower."""
    rounds = [
        _round(ours, loop, [before, after], model, count, cores)
        for ours, loop, before, after, model in zip(
            runs["ours"],
            runs["loop"],
            runs["alone"],
            runs["alone"][1:],
            runs["model"],
            strict=False,
        )
    ]
    return {
        **{name: statistics.median(one[name] for one in rounds) for name in rounds[0]},
        "peak_mb": max(run["peak_mb"] for run in runs["ours"]),
        "rounds": rounds,
        "runs": runs,
    }


def _round(
    ours: dict[str, Any],
    loop: dict[str, Any],
    alone: list[dict[str, Any]],
    bare: dict[str, Any],
    count: int,
    cores: int,
) -> dict[str, float]:
    """One round's figures: our run against the loop, the stages alone before and after it, and the
    model at its best."""

    def mean(field: str) -> float:
        return statistics.fmean(run[field] for run in alone)

    model, others = cores / bare["rate"], mean("decode") + mean("resize")
    lone = min(bare["core_seconds"], mean("model"))
    ours_core = ours["core_seconds"] / count
    stages_core = sum(mean(f"{stage}, core") for stage in ("decode", "resize", "model"))
    ideal, rate = cores / (others + model), count / ours["seconds"]
    return {
        "rate": rate,
        "ideal": ideal,
        "of_ideal": rate / ideal,
        "of_lone_core_ideal": rate * (others + lone) / cores,
        "by_core_time": stages_core / ours_core,
        "over_loop": rate / (count / loop["seconds"]),
        "of_model": rate / bare["rate"],
        "ours_core_ms": 1000 * ours_core,
        "decode_ms": 1000 * mean("decode"),
        "resize_ms": 1000 * mean("resize"),
        "model_ms": 1000 * model,
    }


def unchanged(count: int) -> dict[str, Any]:
    """The same folder indexed twice, each time by a new process."""
    with scratch("unchanged") as folder:
        make(str(folder / "pictures"), "348", count)
        index = str(folder / "gallery.ken")
        first, *second = (_whole(str(folder / "pictures"), index) for _ in range(4))
    again = statistics.median(run["process_seconds"] for run in second)
    return {
        "count": count,
        "first": first,
        "second": second,
        "seconds": again,
        "faster": first["process_seconds"] / again,
        "same": min(run["same"] for run in second),
        "model_loaded": any(run["model_loaded"] for run in second),
    }


def _whole(folder: str, index: str) -> dict[str, Any]:
    """One run of ours, with the seconds of its whole process."""
    start = time.perf_counter()
    run: dict[str, Any] = case(ours, folder=folder, index=index)
    return {**run, "process_seconds": time.perf_counter() - start}


def _spread(one: dict[str, Any], name: str) -> str:
    """A ratio, with the least and the most of one round."""
    every = [each[name] for each in one["rounds"]]
    return f"{one[name]:.2f} ({min(every):.2f}–{max(every):.2f})"


def main() -> None:
    quick = arguments(__doc__).quick
    from kenspeckle import _threads

    cores = _threads.cores()
    sizes = {"348": 1000, "1024": 2000, "12M": 60}
    if quick:
        sizes = {kind: count // 20 for kind, count in sizes.items()}
    rounds = {"348": 3, "1024": 5, "12M": 3}
    measured = [
        throughput(kind, count, 1 if quick else rounds[kind], cores)
        for kind, count in sizes.items()
    ]
    again = unchanged(200 if quick else 5000)
    rows = [
        (
            f"{one['count']} JPEGs, {one['kind']} px, {one['kilobytes']:.0f} kB each",
            _spread(one, "of_ideal"),
            f"{one['of_lone_core_ideal']:.2f}",
            f"{one['by_core_time']:.2f}",
            _spread(one, "over_loop"),
            f"{one['of_model']:.2f}",
            f"{one['rate']:.1f} /s",
            " + ".join(f"{one[f'{stage}_ms']:.1f}" for stage in ("decode", "resize", "model")),
            f"{one['ours_core_ms']:.1f}",
            f"{one['peak_mb']:.0f} MB",
        )
        for one in measured
    ]
    notes = [
        f"wanted: of the ideal ≥ {SHARE}, of the loop ≥ {OVER_LOOP} ×, peak ≤ {MEMORY_MB:.0f} MB",
        f"unchanged folder of {again['count']}, 348 px: {again['faster']:.0f} × faster (wanted ≥ "
        f"{AGAIN:.0f}), whole process: {again['first']['process_seconds']:.1f} s, then "
        f"{again['seconds']:.2f} s; {again['same']} the same, model "
        f"{'LOADED' if again['model_loaded'] else 'not loaded'}",
        "by core time: core-seconds of the stages alone ÷ those of our whole run, which says how "
        "much is our own work even where other programs took part of the cores",
        f"{cores} callers, one intra-op thread each; medians of "
        f"{', '.join(str(len(one['rounds'])) for one in measured)} rounds, in brackets the least "
        "and the most of one round",
    ]
    header = (
        "folder",
        "of the ideal",
        "of a lone core's",
        "by core time",
        "of the loop",
        "of the bare model",
        "ours",
        "alone, ms: decode + resize + model",
        "ours, core-ms",
        "peak memory",
    )
    claim = (__doc__ or "").partition("\n")[0]
    data = {"throughput": measured, "unchanged": again, "cores": cores}
    save(Report("index_throughput", claim, header, rows, data, SEED, notes), quick=quick)


if __name__ == "__main__":
    main()
