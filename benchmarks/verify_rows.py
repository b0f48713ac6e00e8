"""`verify` of 50,000 rows takes less than 1 GB and less than a minute, camera views included.

Rows are drawn from a seed, two to an item, in two galleries: rows of unrelated pictures, and
`alike`, in which every item lies at a cosine of about 0.9 to 49 others, as the prints of a series
do. The pictures behind the references are 16 drawn ones under 50,000 names, so the 64 camera views
and the round trip are asked for as in use, though their figures mean nothing here.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from benchmarks._harness import Report, arguments, case, memory, save, scratch

SEED = 8
MOST_MB, MOST_SECONDS = 1000, 60.0


def build(path: str, pictures: str, count: int, alike: bool) -> dict[str, Any]:
    """Write the index, and a name for every reference."""
    from benchmarks._pictures import folder_of, synthetic_index, unit_rows

    rows = unit_rows(count, SEED)
    if alike:
        rows += 3 * unit_rows(500, SEED + 1).repeat(-(-count // 500), axis=0)[:count]
        rows /= (rows * rows).sum(axis=1, keepdims=True) ** 0.5
    synthetic_index(Path(path), count, SEED, rows)
    folder_of(Path(pictures) / "drawn", "348", 16, SEED)
    drawn = sorted((Path(pictures) / "drawn").iterdir())
    for number in range(count):
        folder = Path(pictures) / str(number // 2)
        folder.mkdir(exist_ok=True)
        os.link(drawn[number % 16], folder / f"{number}.jpg")
    return {"bytes": Path(path).stat().st_size}


def checked(path: str, pictures: str) -> dict[str, Any]:
    """Seconds of opening, of the check, and of writing its report both ways."""
    from dataclasses import replace

    from kenspeckle.config import Settings
    from kenspeckle.evaluate.verify.checkup import checkup
    from kenspeckle.evaluate.verify.checkup_text import lines
    from kenspeckle.gallery import Gallery

    settings = Settings()
    settings = replace(settings, index=replace(settings.index, refs=pictures))
    start = time.perf_counter()
    with Gallery.open(path, settings=settings) as gallery:
        opened = time.perf_counter()
        found = checkup(gallery)
        done = time.perf_counter()
        told = len("\n".join(lines(found))) + len(str(found.to_dict()))
        asked = found.report.perturbed
        return {
            "rows": found.report.count,
            "queries": 0 if asked is None else len(asked.sources),
            "round_trip": len(found.sample.again),
            "open": opened - start,
            "check": done - opened,
            "report": time.perf_counter() - done,
            "characters": told,
            "vectors_mb": found.report.count * found.report.width * 4 / 1e6,
            "resident_mb": memory("VmRSS"),
        }


def main() -> None:
    quick = arguments(__doc__).quick
    count = 5000 if quick else 50_000
    rows, measured = [], {}
    for kind in ("unrelated", "alike"):
        with scratch("verify") as folder:
            path, pictures = str(folder / "rows.ken"), str(folder / "pictures")
            Path(pictures).mkdir()
            case(build, path=path, pictures=pictures, count=count, alike=kind == "alike")
            one = case(checked, path=path, pictures=pictures)
        measured[kind] = one
        seconds = one["open"] + one["check"] + one["report"]
        shares = seconds / MOST_SECONDS, one["peak_mb"] / MOST_MB
        rows.append(
            (
                kind,
                f"{count:,}",
                *(f"{share:.2f}" for share in shares),
                f"{seconds:.1f}",
                f"{one['peak_mb']:.0f}",
                f"{one['vectors_mb']:.0f}",
                str(one["queries"]),
            )
        )
    header = (
        "rows are",
        "rows",
        "of a minute",
        "of 1 GB",
        "seconds",
        "peak, MB",
        "vectors, MB",
        "camera views",
    )
    notes = ["wanted: at most 1.00 of each; one thread"]
    claim = (__doc__ or "").partition("\n")[0]
    save(Report("verify_rows", claim, header, rows, measured, SEED, notes), quick=quick)


if __name__ == "__main__":
    main()
