"""An open index with its model stays within 1.6 × its vectors + 130 MB, after 200 answers.

The vectors are N × D × 4 bytes. Resident memory is what the system says of the process (VmRSS),
interpreter and libraries included.
"""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

from benchmarks._harness import Report, arguments, case, memory, save, scratch

SEED = 4
FACTOR, FIXED_MB = 1.6, 130.0


def build(path: str, count: int) -> dict[str, Any]:
    """Write the index that is opened."""
    from benchmarks._pictures import synthetic_index

    synthetic_index(Path(path), count, SEED)
    return {"bytes": Path(path).stat().st_size}


def resident(path: str, pictures: str, queries: int) -> dict[str, Any]:
    """MB after the imports, after opening, after the first answer, after all of them."""
    from kenspeckle.gallery import Gallery

    files = sorted(Path(pictures).iterdir())
    found = {"imports": memory("VmRSS")}
    with Gallery.open(path) as gallery:
        found["references"] = len(gallery.store)
        found["width"] = gallery.embedder.width
        found["open"] = memory("VmRSS")
        for number in range(queries):
            gallery.identify(files[number % len(files)])
            if number == 0:
                found["first"] = memory("VmRSS")
        gc.collect()
        found["all"] = memory("VmRSS")
    return found


def main() -> None:
    quick = arguments(__doc__).quick
    sizes, queries = ((1000, 10_000), 20) if quick else ((1000, 10_000, 100_000), 200)
    rows, measured = [], {}
    with scratch("memory") as folder:
        from benchmarks._pictures import folder_of

        pictures = folder / "pictures"
        folder_of(pictures, "1024", 16, SEED)
        for count in sizes:
            path = str(folder / f"{count}.ken")
            case(build, path=path, count=count)
            one = case(resident, path=path, pictures=str(pictures), queries=queries)
            measured[str(count)] = one
            vectors = one["references"] * one["width"] * 4 / 1e6
            bound = FACTOR * vectors + FIXED_MB
            sizes_mb = (one["all"], one["first"], one["open"], one["imports"], one["peak_mb"])
            told = (f"{size:.0f}" for size in (bound, *sizes_mb, vectors))
            rows.append((f"{count:,}", f"{one['all'] / bound:.2f}", *told))
    header = (
        "references",
        "of the bound",
        "bound, MB",
        f"after {queries} answers",
        "after one",
        "open",
        "imports alone",
        "peak",
        "vectors",
    )
    notes = [f"bound = {FACTOR} × N × D × 4 bytes + {FIXED_MB:.0f} MB; wanted: at most 1.00 of it"]
    claim = (__doc__ or "").partition("\n")[0]
    save(Report("memory", claim, header, rows, measured, SEED, notes), quick=quick)


if __name__ == "__main__":
    main()
