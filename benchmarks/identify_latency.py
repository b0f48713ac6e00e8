"""One answer costs little more than the model alone, and than the sum of its stages.

Claims, one caller, one thread, whole region, calibrated rule:

- a decoded and resized picture against 10,000 references: at most 1.15 × the bare model (the same
  session, a ready tensor);
- against 100,000: at most 1.10 × (bare model + bare search, each alone);
- from the bytes of a JPEG of 1024 × 768: at most 1.10 × the sum of its stages, each alone.

The sides take turns, query by query, in one process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks._harness import Report, alternated, arguments, case, percentile, save, scratch

SEED = 2
QUERIES, TOP = 300, 16


def build(path: str, count: int) -> dict[str, Any]:
    """Write the index that is asked."""
    from benchmarks._pictures import synthetic_index

    synthetic_index(Path(path), count, SEED)
    return {"bytes": Path(path).stat().st_size}


def latency(path: str, queries: int) -> dict[str, Any]:
    """Milliseconds p50 and p95 of each side over the same pictures."""
    from PIL import Image

    from benchmarks._pictures import photograph
    from kenspeckle import Gallery
    from kenspeckle.config import Settings
    from kenspeckle.flows.identify import identify
    from kenspeckle.flows.opened import Opened
    from kenspeckle.image.decode import decode
    from kenspeckle.types import Picture
    from kenspeckle.vectors.preprocess import tensor

    with Gallery.open(path) as gallery:
        opened = Opened(gallery.store, gallery.embedder, Settings())
        recipe = opened.embedder.fingerprint.recipe
        engine = opened.embedder._loaded()  # the same session
        files = [photograph("1024", number, SEED) for number in range(16)]
        images = [decode(data).image for data in files]
        fitted = [
            Picture(image.resize((recipe.side,) * 2, Image.Resampling.BICUBIC), "photo")
            for image in images
        ]
        tensors = [tensor(image, recipe)[None] for image in images]
        rows = [opened.embedder.vector(image)[None] for image in images]
        turn = iter(range(10**9))

        def following(values: list[Any]) -> Any:
            return values[next(turn) // 7 % len(values)]

        sides = {
            "identify": lambda: identify(opened, following(fitted)),
            "identify bytes": lambda: gallery.identify(following(files)),
            "decode": lambda: decode(following(files)),
            "resize": lambda: tensor(following(images), recipe),
            "model": lambda: engine.run(following(tensors)),
            "search": lambda: opened.store.search(following(rows), TOP),
            "tensor": lambda: tensor(following(fitted).image, recipe),
        }
        alternated(sides, 10)
        seconds = alternated(sides, queries)
    return {
        name: {"p50": 1000 * percentile(values, 0.5), "p95": 1000 * percentile(values, 0.95)}
        for name, values in seconds.items()
    }


def ratios(one: dict[str, Any], share: str) -> dict[str, float]:
    """What is claimed, at p50 or p95."""
    at = {name: value[share] for name, value in one.items() if isinstance(value, dict)}
    stages = at["decode"] + at["resize"] + at["model"] + at["search"]
    return {
        "over the model": at["identify"] / at["model"],
        "over model + search": at["identify"] / (at["model"] + at["search"]),
        "bytes over stages": at["identify bytes"] / stages,
    }


def main() -> None:
    quick = arguments(__doc__).quick
    sizes = (1000, 10_000) if quick else (10_000, 100_000)
    measured = {}
    with scratch("identify") as folder:
        for count in sizes:
            path = str(folder / f"{count}.ken")
            case(build, path=path, count=count)
            measured[count] = case(latency, path=path, queries=50 if quick else QUERIES)
    rows = []
    for count, one in measured.items():
        for share in ("p50", "p95"):
            found = ratios(one, share)
            rows.append(
                (
                    f"{count:,}, {share}",
                    *(f"{value:.2f} ×" for value in found.values()),
                    *(f"{one[name][share]:.2f}" for name in ("identify", "identify bytes")),
                    *(f"{one[name][share]:.2f}" for name in ("decode", "resize", "model")),
                    f"{one['search'][share]:.2f}",
                )
            )
    header = (
        "references",
        "÷ model",
        "÷ (model + search)",
        "bytes ÷ stages",
        "identify, ms",
        "from bytes, ms",
        "decode",
        "resize",
        "model",
        "search",
    )
    notes = [
        "wanted at p50: ÷ model ≤ 1.15 at 10,000; ÷ (model + search) ≤ 1.10 at 100,000; bytes ÷ "
        "stages ≤ 1.10",
        f"{50 if quick else QUERIES} queries a side, in turn",
    ]
    claim = (__doc__ or "").partition("\n")[0]
    data = {str(count): one for count, one in measured.items()}
    save(Report("identify_latency", claim, header, rows, data, SEED, notes), quick=quick)


if __name__ == "__main__":
    main()
