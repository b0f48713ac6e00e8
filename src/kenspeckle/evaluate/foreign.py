"""Any system measured with the same figures: a function from a photo to a reply.

Its gallery is its own: `names` says what it knows, by default every item that the dataset has
references of. What is asked about and is not among them is a stranger.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kenspeckle.config import check
from kenspeckle.errors import InputError, KenspeckleError
from kenspeckle.evaluate.bank import Progress, quiet
from kenspeckle.evaluate.counting import Detection, Truth, by_photo
from kenspeckle.evaluate.figures import rates, values
from kenspeckle.evaluate.result import Answer, Counts, DrawFigures, Evaluation
from kenspeckle.evaluate.samples import Dataset, Sample
from kenspeckle.stats import expected_threshold
from kenspeckle.vectors.pipeline import pooled

HOPELESS = 3
"""Failures in a row, with no answer before, after which nothing more is asked."""
FIRST = 5


@dataclass(frozen=True, slots=True)
class Reply:
    """What a system says of a photo.

    `label` is empty for unknown. `score` is higher for surer, in any unit; None where the system
    has none. `candidates` are `(label, score)`, best first.
    """

    label: str
    score: float | None = None
    confidence: float | None = None
    candidates: tuple[tuple[str, float], ...] = ()


System = Callable[[Path], Reply]


def evaluate_callable(
    dataset: Dataset,
    system: System,
    *,
    name: str = "",
    names: Collection[str] = (),
    fpir: float | None = None,
    seed: int = 0,
    callers: int = 1,
    progress: Progress = quiet,
) -> Evaluation:
    """Ask a system about every photo of a dataset.

    Without `fpir` its own decision counts. With it, the system's scores are held against a
    threshold fitted on one half of the stranger items, and the other half is reported. Photos it
    fails on are left out and counted. `callers` photos are asked about at once.

    Raises SettingError for a rate outside 0.000001 … 1, InputError when it answers nothing.

    >>> from kenspeckle.evaluate.samples import Truth
    >>> cup = Sample("query", Path("a.jpg"), "a.jpg", (Truth("cup"),))
    >>> hat = Sample("stranger", Path("b.jpg"), "b.jpg", (Truth("hat"),))
    >>> data = Dataset("two", Path(), "table", (replace(cup, role="reference"),), (cup,), (hat,))
    >>> found = evaluate_callable(data, lambda photo: Reply("cup", 0.9))
    >>> found.rates["tpir"].value, found.rates["fpir"].value
    (1.0, 1.0)
    """
    start = time.perf_counter()
    if fpir is not None:
        check("identify.fpir", fpir if fpir > 0 else -1.0, "fpir")
    known, excluded = set(names) or set(dataset.items), Counter(dataset.reasons)
    photos = (*dataset.queries, *dataset.strangers)
    answers = _asked(photos, system, known, excluded, callers, progress)
    if not answers:
        raise InputError(dataset.name, "no photo was answered", expected="at least one")
    threshold, fitted_on, notes = -math.inf, 0, list(dataset.notes)
    if fpir is not None:
        answers, threshold, fitted_on = _fitted(answers, fpir, seed)
        if not fitted_on:
            notes.append("No strangers to fit a threshold on: every photo gets a name.")
    mated = sum(one.enrolled for one in answers)
    figures = DrawFigures(
        0, seed, len(known), 0, mated, len(answers) - mated, threshold, fitted_on, values(answers)
    )
    return Evaluation(
        name=f"{dataset.name}, {name or 'a system of others'}",
        folder=str(dataset.folder),
        settings={
            "dataset": dataset.name,
            "layout": dataset.layout,
            "system": name,
            "threshold": "its own" if fpir is None else f"fitted for FPIR {fpir:g}",
            "seed": seed,
        },
        fpir=fpir,
        answers=tuple(answers),
        draws=(figures,),
        rates=rates(answers),
        counts=(_counts(answers, known),),
        regions=None,
        excluded=dict(excluded),
        notes=tuple(notes),
        seconds=time.perf_counter() - start,
        confidence_from="",
    )


def _asked(
    photos: Sequence[Sample],
    system: System,
    known: set[str],
    excluded: Counter[str],
    callers: int,
    progress: Progress,
) -> list[Answer]:
    """The answers, in the order of the photos. Raises the error of a system that never answers."""
    answers: list[Answer] = []
    failed = 0
    replies = pooled(photos, lambda photo: system(photo.path), callers)
    for count, done in enumerate(replies, 1):
        progress(count, len(photos), done.source.name)
        if done.value is None:
            failed += 1
            excluded["photo that the system failed on"] += 1
            if failed >= HOPELESS and not answers and isinstance(done.error, KenspeckleError):
                replies.close()  # type: ignore[attr-defined]
                raise done.error
        else:
            answers.append(_answer(done.source, done.value, known, excluded))
    return answers


def _answer(photo: Sample, reply: Reply, known: set[str], excluded: Counter[str]) -> Answer:
    """A reply in our terms. Without any score a name counts as 1 and none as 0."""
    listed = [label for label, _ in reply.candidates]
    order = [reply.label, *(x for x in listed if x != reply.label)] if reply.label else listed
    score = reply.score
    if score is None and reply.candidates:
        score = reply.candidates[0][1]
    if score is None:
        score = 1.0 if reply.label else 0.0
    if math.isnan(score):
        excluded["answer with a score that is no number (held for the lowest)"] += 1
        score = -math.inf
    scores = [value for _, value in reply.candidates]
    margin = scores[0] - scores[1] if len(scores) > 1 else None
    return Answer(
        draw=0,
        query=photo.name,
        box=None,
        truth=photo.labels,
        enrolled=any(label in known for label in photo.labels),
        said=reply.label,
        best=order[0] if order else "",
        runner=order[1] if len(order) > 1 else "",
        score=score,
        similarity=score,
        margin=margin if margin is not None and math.isfinite(margin) else None,
        confidence=reply.confidence,
        rank=next((n for n, label in enumerate(order, 1) if label in photo.labels), 0),
        region="whole",
        named=int(bool(reply.label)),
    )


def _fitted(answers: Sequence[Answer], fpir: float, seed: int) -> tuple[list[Answer], float, int]:
    """The answers by a threshold fitted on half of the stranger items, without these; the
    threshold, and how many items it was fitted on."""
    strangers = sorted({one.item for one in answers if not one.enrolled})
    order = np.random.default_rng(seed).permutation(len(strangers))
    half = {strangers[place] for place in order[: (len(strangers) + 1) // 2]}
    taken = [one for one in answers if not one.enrolled and one.item in half]
    threshold = -math.inf
    if taken:
        scores, items = [one.score for one in taken], [one.item for one in taken]
        threshold = expected_threshold(scores, items, fpir)
    kept = [one for one in answers if one.enrolled or one.item not in half]
    named = [
        replace(
            one, said=one.best if one.score > threshold else "", named=int(one.score > threshold)
        )
        for one in kept
    ]
    return named, threshold, len(half)


def _counts(answers: Sequence[Answer], known: set[str]) -> Counts:
    """The names said against the names that photos show."""
    said = [Detection(a.query, None, a.said, 0.0) for a in answers if a.said]
    true = [Truth(a.query, None, label) for a in answers for label in a.truth if label in known]
    one = by_photo(said, true)
    return Counts(
        "ours", "names of photos", one.tp, one.fp, one.fn, one.expected, one.false[:FIRST],
        one.missed[:FIRST],
    )  # fmt: skip
