"""The pictures of the demo: what is enrolled, what is asked, and what the right answer is.

Everything comes out of the package; nothing is fetched. Photos of groceries and coins are real.
Prints are drawn symbols; their photos are made by `kenspeckle.image.views`, and are called so.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw

from kenspeckle.errors import InputError
from kenspeckle.image.views import camera_views
from kenspeckle.types import Decision

Made = Literal["real", "rendered", "broken"]
Verdict = Literal["right", "unknown", "wrong", "refused", "named", "unreadable"]

MARK = "about-this-folder.txt"
CARD, SYMBOL = 360, 270
"""Sides in pixels of a printed card and of the symbol on it."""
SEED = 5
STRENGTH = 0.6
"""Of the distortion in a photo of a card, against the views that the rule is fitted on."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture that is asked about. `truth` is the folder of its item, empty for a stranger."""

    path: Path
    shows: str
    truth: str
    made: Made


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one photo: a decision, or the sentence that says why there is none."""

    shot: Shot
    decision: Decision | None
    error: str
    verdict: Verdict
    seconds: float


def prepare(out: Path) -> list[Shot]:
    """Write references and photos below `out`; the photos, with their right answers.

    Raises InputError when `out` is a folder of something else.
    """
    _claim(out)
    with resources.as_file(resources.files("kenspeckle.cli") / "demo_pictures") as pictures:
        for folder in sorted((pictures / "references").iterdir()):
            for source in sorted(folder.iterdir()):
                _copy(source, out / "references" / _words(folder.name) / source.name)
        shots = [_photo(source, out) for source in sorted((pictures / "photos").iterdir())]
        shots += _prints(pictures / "prints", out, enrolled=True)
        shots += [_stranger(source, out) for source in sorted((pictures / "strangers").iterdir())]
        shots += _prints(pictures / "other-prints", out, enrolled=False)
        shots.append(_broken(sorted((pictures / "photos").iterdir())[0], out))
    return shots


def licences() -> str:
    """Where the pictures come from, under which licences, and how they were chosen."""
    file = resources.files("kenspeckle.cli") / "demo_pictures" / "LICENCES.md"
    return file.read_text(encoding="utf-8")


def _claim(out: Path) -> None:
    """Take the folder over if it is ours, new or empty; leave anybody else's alone."""
    if out.exists() and not out.is_dir():
        raise InputError(str(out), "a file", expected="a folder", do="Name another with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise InputError(
            str(out),
            "a folder that holds other things",
            expected="a new folder, or one of an earlier demo",
            do="Name another with --out",
        )
    for part in ("references", "photos"):
        shutil.rmtree(out / part, ignore_errors=True)
    for stale in out.glob("gallery.ken*"):
        stale.unlink()
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).write_text("Written by `kenspeckle demo`, which replaces it.\n", encoding="utf-8")


def _words(name: str) -> str:
    return name.replace("-", " ")


def _copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target


def _photo(source: Path, out: Path) -> Shot:
    kind, _, number = source.stem.partition("__")
    path = _copy(source, out / "photos" / f"{kind.lower()}-{number}.jpg")
    return Shot(path, _words(kind), _words(kind), "real")


def _stranger(source: Path, out: Path) -> Shot:
    path = _copy(source, out / "photos" / f"stranger-{source.stem.lower()}.jpg")
    return Shot(path, _words(source.stem), "", "real")


def _prints(folder: Path, out: Path, *, enrolled: bool) -> list[Shot]:
    """Printed cards: a reference and two photos of those enrolled, one photo of the others."""
    shots = []
    for number, source in enumerate(sorted(folder.iterdir())):
        name = f"{source.stem.capitalize()} print"
        card = _card(source)
        if enrolled:
            target = out / "references" / name / "card.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            card.save(target)
        seed = SEED + number + 100 * enrolled
        views = camera_views(card, 2 if enrolled else 1, seed, STRENGTH)
        for place, view in enumerate(views, 1):
            stem = source.stem if enrolled else f"stranger-{source.stem}"
            path = out / "photos" / f"{stem}-print-{place}.jpg"
            view.convert("RGB").save(path, quality=88)
            shots.append(Shot(path, name, name if enrolled else "", "rendered"))
    return shots


def _card(symbol: Path) -> Image.Image:
    card = Image.new("RGB", (CARD, CARD), (252, 252, 250))
    edge = CARD - 4
    ImageDraw.Draw(card).rounded_rectangle((3, 3, edge, edge), 18, outline=(190, 190, 186), width=2)
    with Image.open(symbol) as drawn:
        fitted = drawn.convert("RGB").resize((SYMBOL, SYMBOL), Image.Resampling.LANCZOS)
    card.paste(fitted, ((CARD - SYMBOL) // 2, (CARD - SYMBOL) // 2))
    return card


def _broken(source: Path, out: Path) -> Shot:
    """The first half of a photo, as a transfer that broke off leaves it."""
    data = source.read_bytes()
    path = out / "photos" / "broken-transfer.jpg"
    path.write_bytes(data[: len(data) // 2])
    return Shot(path, "half of a file", "", "broken")
