"""calibrate(gallery): pictures whose answer is known → regions → vectors → trials → the rule.

The quick calibration knows nothing but the gallery and the cohort. A view of a reference is a mated
query; with its item left out of the gallery the same view is a stranger *like your items*; the
cohort's pictures are strangers in *general*. Work goes on in a seeded random order until the time
is over, so a cut-off run is a smaller sample, not another one.

The full calibration takes its time, and may be given photos: of strangers, which then decide the
threshold, and labelled ones. A labelled photo of an enrolled thing is a mated query, and, with its
item left out, a stranger like the items that no camera view had to stand in for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kenspeckle.errors import PromiseRefused, SettingError
from kenspeckle.flows.beyond import beyond_trials
from kenspeckle.flows.feedback import heard
from kenspeckle.flows.gathered import Gathered, exclusions, gather, look_alikes, subject_of
from kenspeckle.flows.index import Progress, Step
from kenspeckle.flows.labelled import Photos, photos_in, strangers_in
from kenspeckle.flows.opened import Opened
from kenspeckle.flows.photos import Embedded, distinct, embed, remembered
from kenspeckle.flows.trials import (
    BLOCK,
    Asked,
    Known,
    Query,
    ask,
    general_trials,
    known_of,
    make_views,
    plan_views,
    unchanged,
)
from kenspeckle.match.aggregate import SCORES, ScoreKind, usual_score
from kenspeckle.match.calibrate import fit
from kenspeckle.match.choose import Material, Tried, choose
from kenspeckle.match.prints import look_alike_level
from kenspeckle.match.promise import percent
from kenspeckle.match.threshold import refuse_few
from kenspeckle.match.trials import NO_TRIALS, Strangers, Trials, but, joined
from kenspeckle.types import Calibration

COHORT_SHARE = 0.4
"""The most of the time that goes into the cohort, which comes first; views get what is left."""
VIEWS_NOTE = "your items were judged by camera views of their references, not by photos"


def quick(opened: Opened, *, seconds: float, seed: int = 0) -> Calibration | None:
    """The rule fitted in about `seconds`, or None when the gallery offers no stranger at all.

    Originals that have moved or fail, and those behind addresses, are passed over and counted in
    the notes. Raises ModelError.
    """
    start = time.monotonic()
    store, cohort = opened.store, opened.embedder.cohort
    change, said, known = store.change(), store.feedback_change(), known_of(opened)
    kind = usual_score(cohort is not None, len(known.references))
    plan = plan_views(known, seed)
    general = NO_TRIALS
    if cohort is not None and known.references:
        general = general_trials(opened, cohort, kind, start + COHORT_SHARE * seconds, seed)
    made = gather(opened, known, (kind,), make_views(opened, plan, start + seconds))
    views = made.views()
    twins = known.twins | look_alikes(opened, known, look_alike_level(views))
    strangers: dict[Strangers, Trials] = {
        "like your items": but(made.left_out(kind), twins),
        "general": general,
    }
    return fit(
        subject_of(opened, known, change, said),
        kind,
        made.mated(kind),
        strangers,
        opened.fpir,
        views=views,
        notes=(VIEWS_NOTE, *exclusions(opened, made, len(twins), len(plan))),
    )


def full(
    opened: Opened,
    *,
    fpir: float = 0.0,
    strangers: Path | None = None,
    photos: Path | None = None,
    views: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Calibration:
    """The rule fitted on everything there is.

    `strangers` is a folder of photos of other things, `photos` a table with the columns path,
    label and item, `views` the number of camera views of each item (None: as many as usual). A rate
    that is asked for by `fpir` is refused if the trials do not support it; without one the
    calibrated or the usual rate is aimed at, and the promise says what is supported.

    Raises PromiseRefused, SettingError, CatalogError, ModelError; nothing is stored.
    """
    _check(fpir, views)
    store = opened.store
    change, said, known = store.change(), store.feedback_change(), known_of(opened)
    if not known.references:
        raise PromiseRefused("calibration", "an empty gallery", do="Index references first")
    listed = strangers_in(strangers) if strangers is not None else Photos()
    listed += photos_in(photos, store) if photos is not None else Photos()
    if fpir:  # what cannot be supported is refused before the work
        things = {row.thing for row in listed.rows if row.item < 0}
        if things or (len(known.references) > 1 and views != 0):
            kind: Strangers = "given" if things else "like your items"
            refuse_few(kind, len(things or known.references), fpir)
    asked = embed(opened, listed, known, progress)
    plan = [] if views == 0 else [*unchanged(known), *plan_views(known, seed, views or 0)]
    kinds = _offered(opened, len(known.references))
    making = make_views(opened, plan, math.inf)
    made = gather(opened, known, kinds, _counted(making, len(plan), progress))
    level = look_alike_level(made.views())
    twins = known.twins | look_alikes(opened, known, level)
    given, merged = distinct(asked.strangers, level)
    told = heard(opened)
    back = remembered(opened, told.usable)
    asked = replace(asked, known=asked.known + back.known, strangers=given, rejected=back.rejected)
    materials = _materials(opened, known, made, asked, twins, seed)
    rate = fpir or opened.fpir
    usual = usual_score("cohort" in kinds, len(known.references))
    score, rows = choose(materials, rate, usual)
    material = materials[score]
    rule = fit(
        subject_of(opened, known, change, said),
        score,
        material.known,
        material.strangers(),
        rate,
        strict=fpir > 0,
        method="full",
        views=made.views(),
        labelled=material.labelled,
        notes=(
            *_made_of(asked, made, merged),
            *asked.notes,
            *told.notes(),
            *back.notes,
            *exclusions(opened, made, len(twins), len(plan)),
            *_side_by_side(rows, rate),
        ),
    )
    if rule is None:
        raise PromiseRefused(
            f"FPIR {percent(rate)}",
            "no stranger to fit a threshold on",
            do="Give photos of things that are not in the gallery: --strangers",
        )
    beyond = beyond_trials(opened, known, asked.strangers, material, rule)
    return replace(rule, notes=(*rule.notes, *beyond))


def _check(fpir: float, views: int | None) -> None:
    if fpir and not 0 < fpir < 1:
        raise SettingError("fpir", f"{fpir}", expected="a rate above 0 and below 1")
    if views is not None and views < 0:
        raise SettingError("views", f"{views}", expected="0 or more")


def _offered(opened: Opened, items: int) -> tuple[ScoreKind, ...]:
    """The scores that this gallery can be judged by: all need what they compare with, also where
    an item is left out."""
    cohort = opened.embedder.cohort is not None
    kinds = [kind for kind in SCORES if cohort or "cohort" not in kind]
    return tuple(kind for kind in kinds if items > 2 or "margin" not in kind)


def _counted(
    views: Iterator[Query | None], total: int, progress: Progress | None
) -> Iterator[Query | None]:
    for number, view in enumerate(views, 1):
        if progress:
            progress(Step(number, total, view.reference.path if view and view.reference else ""))
        yield view


def _materials(
    opened: Opened,
    known: Known,
    made: Gathered,
    photos: Embedded,
    twins: set[int],
    seed: int,
) -> dict[ScoreKind, Material]:
    """The trials of every score."""
    mated = list(_blocks(opened, known, photos.known))
    given = list(_blocks(opened, known, photos.strangers))
    rejected = list(_blocks(opened, known, photos.rejected))
    cohort = opened.embedder.cohort
    return {
        kind: Material(
            mated=made.mated(kind),
            left_out=but(made.left_out(kind), twins),
            photos=joined(asked.mated(kind) for asked in mated),
            photos_out=but(joined(asked.left_out(kind) for asked in mated), twins),
            given=joined(asked.mated(kind) for asked in given),
            rejected=_wrong(joined(asked.mated(kind) for asked in rejected)),
            general=NO_TRIALS
            if cohort is None
            else general_trials(opened, cohort, kind, math.inf, seed),
        )
        for kind in made.kinds
    }


def _blocks(opened: Opened, known: Known, queries: Sequence[Query]) -> Iterator[Asked]:
    for start in range(0, len(queries), BLOCK):
        yield ask(opened, known, queries[start : start + BLOCK])


def _wrong(rejected: Trials) -> Trials:
    """Photos that are still taken for what they do not show, each a thing of its own. Far from
    the numbers of strangers, so that none of those is counted with them."""
    still = rejected.right
    count = int(still.sum())
    numbers = np.iinfo(np.int64).min + np.arange(count)
    return Trials(rejected.scores[still], numbers, np.zeros(count, bool))


def _made_of(photos: Embedded, made: Gathered, merged: int) -> Iterator[str]:
    """What the trials are made of."""
    things = len({query.item for query in photos.strangers})
    if things:
        yield f"strangers given: {len(photos.strangers)} photos of {things} things"
    if merged:
        yield f"{merged} strangers counted with another one: their pictures are nearly the same"
    if photos.known:
        shown = len({query.item for query in photos.known})
        yield f"labelled photos: {len(photos.known)} of {shown} items"
    elif made.items:
        yield VIEWS_NOTE
    if photos.rejected:
        yield f"answers rejected: {len(photos.rejected)}"


def _side_by_side(rows: Sequence[Tried], fpir: float) -> Iterator[str]:
    """What every score came to, where photos could tell."""
    for row in rows:
        told = []
        if not math.isnan(row.moved_to):
            told.append(
                f"fitted to camera views for {percent(fpir)} it names {percent(row.moved_to)} of "
                "real strangers"
            )
        if not math.isnan(row.named):
            told.append(f"fitted to real ones {percent(row.named)} of labelled photos rightly")
        if told:
            yield f"{row.kind}: {', '.join(told)}"
