"""Choose the pictures of `kenspeckle demo` and copy them, unchanged, into the package.

    python tools/demo_pictures.py DATA [--out src/kenspeckle/cli/demo_pictures]

DATA holds `grocery` (GroceryStoreDataset), `coins` (coins-dataset) and `emoji-styles` (Noto). The
rule, so that nobody has to believe us:

1. All 81 kinds of grocery are enrolled with two real photos each (training split).
2. Each kind is judged by its photos 3 to 8 of the test split: how many are named rightly, then
   the mean margin to the best other kind. Photos 1 and 2 are not looked at.
3. The best eight fruits or vegetables and the best four packages are enrolled in the demo, but for
   kinds with a reference that resembles one of a better kind (cosine above 0.35): look-alikes
   among 18 things would make the rule refuse nearly everything. Photos 1 and 2 of those enrolled
   are what the demo is asked about.
4. Strangers are photo 1 of six of the other kinds, drawn by a seed, and the first photo of two
   coins. No stranger was judged before.
5. Prints are ten Noto emoji picked for being easy to see, before any was asked about.
"""

import argparse
import csv
import shutil
from pathlib import Path

import numpy as np

from kenspeckle.image.decode import decode
from kenspeckle.vectors.embed import open_embedder

LOOSE, PACKED, STRANGERS, SEED = 8, 4, 6, 0
ALIKE = 0.35
COINS = ("10c", "2e")
PRINTS = ("teapot", "robot", "volcano", "crab", "violin", "taxi")
OTHER_PRINTS = ("owl", "microscope", "t-rex", "camping")


def photos(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jpg"))


def judge(grocery: Path) -> tuple[list[tuple[int, float, str]], dict[str, np.ndarray]]:
    """Every kind, the best first (photos 3 to 8 named rightly, mean margin), and references."""
    embedder = open_embedder()

    def rows(paths: list[Path]) -> np.ndarray:
        return embedder.vectors([decode(path).image for path in paths])

    kinds = sorted(folder.name for folder in (grocery / "images/natural-ref").iterdir())
    enrolled = np.stack([rows(photos(grocery / "images/natural-ref" / kind)) for kind in kinds])
    judged = []
    for number, kind in enumerate(kinds):
        asked = rows(photos(grocery / "images/query" / kind)[2:])
        best = np.einsum("qd,nkd->qnk", asked, enrolled).max(2)
        margin = best[:, number] - np.delete(best, number, 1).max(1)
        judged.append((int((margin > 0).sum()), float(margin.mean()), kind))
    return sorted(judged, reverse=True), dict(zip(kinds, enrolled, strict=True))


def choose(grocery: Path) -> tuple[list[str], list[str]]:
    """Kinds to enrol, and kinds that stay strangers."""
    with (grocery / "groups.csv").open(encoding="utf-8") as file:
        packed = {row["label"]: row["group"] == "Packages" for row in csv.DictReader(file)}
    judged, references = judge(grocery)
    room, enrolled = {False: LOOSE, True: PACKED}, []
    for right, margin, kind in judged:
        alike = max(
            (float((references[kind] @ references[o].T).max()) for o in enrolled), default=0
        )
        if room[packed[kind]] and alike <= ALIKE:
            room[packed[kind]] -= 1
            enrolled.append(kind)
            print(f"{kind:28s} {right} of 6, mean margin {margin:+.3f}, nearest other {alike:.2f}")
    others = sorted(set(packed) - set(enrolled))
    drawn = np.random.default_rng(SEED).choice(len(others), STRANGERS, replace=False)
    return enrolled, sorted(others[number] for number in drawn)


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("src/kenspeckle/cli/demo_pictures"))
    asked = parser.parse_args()
    grocery, coins = asked.data / "grocery", asked.data / "coins"
    noto = asked.data / "emoji-styles/images/noto"
    enrolled, strangers = choose(grocery)
    for part in ("references", "photos", "strangers", "prints", "other-prints"):
        shutil.rmtree(asked.out / part, ignore_errors=True)
    for kind in enrolled:
        for path in photos(grocery / "images/natural-ref" / kind):
            copy(path, asked.out / "references" / kind / path.name)
        for number, path in enumerate(photos(grocery / "images/query" / kind)[:2], 1):
            copy(path, asked.out / "photos" / f"{kind}__{number}.jpg")
    for kind in strangers:
        first = photos(grocery / "images/query" / kind)[0]
        copy(first, asked.out / "strangers" / f"{kind}.jpg")
    for coin in COINS:
        first = photos(coins / "images/query" / coin)[0]
        copy(first, asked.out / "strangers" / f"Coin-{coin}.jpg")
    for name in PRINTS:
        copy(noto / f"{name}.png", asked.out / "prints" / f"{name}.png")
    for name in OTHER_PRINTS:
        copy(noto / f"{name}.png", asked.out / "other-prints" / f"{name}.png")
    files = [path for path in asked.out.rglob("*") if path.is_file()]
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
