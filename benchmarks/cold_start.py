"""Starting takes little: import, `--help`, opening 100,000 references, the first answer.

Claims: `import kenspeckle` at most 0.10 s (median of nine processes, less an empty one),
`kenspeckle --help` at most 0.30 s, opening an index of 100,000 references at most 0.5 s. The first
answer, model loading included, is told beside them.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks._harness import Report, arguments, case, pinned, save, scratch

SEED, PROCESSES = 3, 9
HEAVY = ("onnxruntime", "pydantic", "rich", "typer", "torch", "fastapi", "cv2", "PIL")


def process_seconds(*command: str) -> float:
    """Wall seconds of one process, its start included."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, env=pinned(), stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def starts(processes: int) -> dict[str, list[float]]:
    """Seconds of an empty process, of the import, and of `--help`, in turn."""
    commands = {
        "empty": ("-c", "pass"),
        "import": ("-c", "import kenspeckle"),
        "help": ("-m", "kenspeckle", "--help"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        process_seconds(*command)
    for _ in range(processes):
        for name, command in commands.items():
            seconds[name].append(process_seconds(*command))
    return seconds


def imported() -> dict[str, Any]:
    """Heavy libraries that importing the package has loaded: there should be none."""
    import kenspeckle

    return {
        "version": kenspeckle.__version__,
        "heavy": [name for name in HEAVY if name in sys.modules],
    }


def build(path: str, count: int) -> dict[str, Any]:
    """Write the index that is opened."""
    from benchmarks._pictures import synthetic_index

    synthetic_index(Path(path), count, SEED)
    return {"bytes": Path(path).stat().st_size}


def opening(path: str) -> dict[str, Any]:
    """Seconds to open an index, and from there to the first and second answer."""
    from benchmarks._pictures import photograph
    from kenspeckle.gallery import Gallery

    data = photograph("1024", 0, SEED)
    start = time.perf_counter()
    with Gallery.open(path) as gallery:
        count = len(gallery.store)
        opened = time.perf_counter()
        gallery.identify(data)
        first = time.perf_counter()
        gallery.identify(data)
        second = time.perf_counter()
    return {
        "references": count,
        "open": opened - start,
        "first": first - opened,
        "second": second - first,
    }


def main() -> None:
    quick = arguments(__doc__).quick
    processes, count = (3, 10_000) if quick else (PROCESSES, 100_000)
    seconds = starts(processes)
    loaded = case(imported)
    with scratch("cold") as folder:
        path = str(folder / "gallery.ken")
        case(build, path=path, count=count)
        opened = [case(opening, path=path) for _ in range(3 if quick else 5)]
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    of_opening = {
        name: statistics.median(run[name] for run in opened) for name in ("open", "first", "second")
    }
    rows = [
        ("import kenspeckle, less an empty process", f"{middle['import'] - middle['empty']:.3f}"),
        ("kenspeckle --help, whole process", f"{middle['help']:.3f}"),
        (f"open an index of {count:,}", f"{of_opening['open']:.3f}"),
        ("first answer after that, model loading included", f"{of_opening['first']:.3f}"),
        ("second answer", f"{of_opening['second']:.3f}"),
        ("an empty Python process", f"{middle['empty']:.3f}"),
    ]
    notes = [
        "wanted: import ≤ 0.100 s, --help ≤ 0.300 s, open ≤ 0.500 s",
        f"heavy libraries loaded by the import: {', '.join(loaded['heavy']) or 'none'}",
        f"median of {processes} processes; of {len(opened)} for the index, whose file was in the "
        "system's cache",
    ]
    claim = (__doc__ or "").partition("\n")[0]
    data = {"seconds": seconds, "imported": loaded, "opening": opened}
    report = Report("cold_start", claim, ("what", "seconds"), rows, data, SEED, notes)
    save(report, quick=quick)


if __name__ == "__main__":
    main()
