"""`kenspeckle demo`: index a real collection, ask about photos of it and of strangers, show all."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from kenspeckle.cli import console, wording
from kenspeckle.cli.demo_page import Shown, page, usual_seconds
from kenspeckle.cli.demo_scene import Answer, Shot, Verdict, licences, prepare
from kenspeckle.config import IndexSettings, Settings
from kenspeckle.errors import InputError
from kenspeckle.gallery import Gallery
from kenspeckle.types import Decision, in_percent

SAID: dict[Verdict, str] = {
    "right": "right",
    "unknown": "unknown: missed",
    "wrong": "WRONG",
    "refused": "right: a stranger",
    "named": "WRONG: a stranger",
    "unreadable": "right: unreadable",
}

PATIENCE = 120.0
"""The most seconds for the rule: on a slow or busy machine too it is fitted on every view."""


def demo(
    out: Annotated[
        str, typer.Option("--out", metavar="FOLDER", help="Where pictures, index and page go.")
    ] = "demo",
) -> None:
    """Index a small real collection, identify photos of it and of strangers, write a page.

    Everything it needs is in the package. Nothing leaves this machine.
    """
    start = time.perf_counter()
    folder = Path(out)
    shots = prepare(folder)
    settings = Settings(index=IndexSettings(calibrate=False))
    with Gallery.create(folder / "gallery.ken", settings=settings) as gallery:
        with console.progress("indexed") as tell:
            gallery.index(
                folder / "references",
                progress=lambda step: tell(step.done, step.total, step.path),
            )
        rule = gallery.calibrate(PATIENCE)
        indexed = time.perf_counter() - start
        items, references = gallery.items(), gallery.references()
        console.line(
            f"{console.counted(len(references), 'reference')} of "
            f"{console.counted(len(items), 'item')} indexed in {indexed:.1f} s, rule included"
        )
        keys = {reference.path.split("/")[0]: reference.key for reference in references}
        answers = [ask(gallery, shot, keys) for shot in shots]
    _tell(answers)
    seconds = time.perf_counter() - start
    target = folder / "page.html"
    shown = Shown(folder, items, references, rule, (indexed, seconds), licences())
    target.write_text(page(answers, shown), encoding="utf-8")
    console.line()
    console.line(f"{seconds:.1f} s altogether. Look at it: {target.resolve()}")


def ask(gallery: Gallery, shot: Shot, keys: dict[str, str]) -> Answer:
    """Identify one photo and judge the answer; a photo that cannot be read fails alone."""
    start = time.perf_counter()
    try:
        decision = gallery.identify(shot.path)
    except InputError as error:
        return Answer(shot, None, str(error), "unreadable", time.perf_counter() - start)
    verdict = judge(decision, keys[shot.truth] if shot.truth else "")
    return Answer(shot, decision, "", verdict, time.perf_counter() - start)


def judge(decision: Decision, truth: str) -> Verdict:
    """Compare an answer with the key of the item shown, empty for a stranger."""
    if not truth:
        return "named" if decision.known else "refused"
    if not decision.known:
        return "unknown"
    return "right" if decision.key == truth else "wrong"


def summary(answers: Sequence[Answer]) -> list[str]:
    """What the answers come to, a line for each kind of photo."""
    lines = []
    for made in ("real", "rendered"):
        of_kind = [answer for answer in answers if answer.shot.made == made]
        count = Counter(answer.verdict for answer in of_kind)
        known = count["right"] + count["unknown"] + count["wrong"]
        strangers = count["refused"] + count["named"]
        lines.append(
            f"{made} photos of enrolled things: {count['right']} of {known} named rightly, "
            f"{count['unknown']} unknown, {count['wrong']} wrong"
        )
        lines.append(
            f"{made} photos of strangers: {count['refused']} of {strangers} refused, "
            f"{count['named']} named"
        )
    unreadable = [answer.shot.path.name for answer in answers if answer.verdict == "unreadable"]
    lines.append(f"unreadable, and said so: {', '.join(unreadable) or 'none'}")
    return lines


def _tell(answers: Sequence[Answer]) -> None:
    rows = []
    for answer in answers:
        decision = answer.decision
        if decision is None:
            said, sure, why = "–", "-", answer.error
        else:
            said = decision.label if decision.known else "unknown"
            sure = in_percent(decision.confidence if decision.known else None)
            why = wording.shortly(decision)
        rows.append((answer.shot.path.name, said, sure, SAID[answer.verdict], why))
    console.line()
    console.table(("photo", "answer", "confidence", "judged", "why"), rows)
    console.line()
    for text in summary(answers):
        console.line(text)
    console.line(f"median time of an answer: {1000 * usual_seconds(answers):.0f} ms")
