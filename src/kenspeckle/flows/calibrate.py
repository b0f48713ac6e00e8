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
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from kenspeckle.config import check_rate
from kenspeckle.engines.features import open_features
from kenspeckle.errors import IndexBusy, PromiseRefused, SettingError
from kenspeckle.flows.beyond import beyond_trials
from kenspeckle.flows.feedback import heard
from kenspeckle.flows.gathered import exclusions, gather, look_alikes, subject_of
from kenspeckle.flows.index import Progress, Step
from kenspeckle.flows.labelled import Photos, photos_in, strangers_in
from kenspeckle.flows.material import Answers, general_of, offered
from kenspeckle.flows.opened import Opened, ReadOnly
from kenspeckle.flows.photos import Embedded, distinct, embed, remembered
from kenspeckle.flows.remarks import side_by_side, too_few, unseen, weaker
from kenspeckle.flows.trials import (
    Known,
    Query,
    general_trials,
    known_of,
    make_views,
    plan_views,
    unchanged,
)
from kenspeckle.match.aggregate import usual_score
from kenspeckle.match.calibrate import Subject, fit
from kenspeckle.match.choose import Material, choose
from kenspeckle.match.promise import VIEWS, percent
from kenspeckle.match.second_look import USUAL, fit_weight
from kenspeckle.match.threshold import refuse_few
from kenspeckle.match.trials import NO_TRIALS, Strangers, Trials, but
from kenspeckle.store.base import Store
from kenspeckle.types import Calibration, SecondLookRule

MOST_VIEWS = 100
"""Camera views of one item: more would take hours and tell nothing new."""
COHORT_SHARE = 0.4
"""The most of the time that goes into the cohort, which comes first; views get what is left."""
SEED = 0


def quick(
    opened: Opened, *, seconds: float, seed: int = 0, progress: Progress | None = None
) -> Calibration | None:
    """The rule fitted in about `seconds`, or None when the gallery offers no stranger at all.

    It is of the gallery as it is at the start, whatever is committed meanwhile. Originals that have
    moved or fail, and those behind addresses, are passed over and counted in the notes. Raises
    ModelError, and what `progress` raises.
    """
    return _quick(opened.still(), seconds, seed, progress)


def _quick(
    opened: ReadOnly, seconds: float, seed: int, progress: Progress | None
) -> Calibration | None:
    start = time.monotonic()
    store, cohort = opened.store, opened.embedder.cohort
    standing, known = store.standing(), known_of(opened)
    kind = usual_score(cohort is not None, len(known.references))
    plan = plan_views(known, seed)
    general = NO_TRIALS
    if cohort is not None and known.references:
        tried = _told(len(plan), progress)
        general = general_trials(opened, cohort, kind, start + COHORT_SHARE * seconds, seed, tried)
    making = _counted(make_views(opened, plan, start + seconds), len(plan), progress)
    made = gather(opened, known, (kind,), making)
    stood = made.stand_in(opened, known)
    twins = known.twins | look_alikes(opened, known, made.level_of_twins())
    strangers: dict[Strangers, Trials] = {
        "like your items": but(made.left_out(kind), twins),
        "general": general,
    }
    return fit(
        subject_of(opened, known, standing),
        kind,
        made.mated(kind),
        strangers,
        opened.fpir,
        views=made.views(),
        notes=(
            *((VIEWS,) if made.items else ()),
            *_unheard(opened),
            *exclusions(opened, made, len(twins), len(plan), stood),
        ),
    )


def _unheard(opened: ReadOnly) -> Iterator[str]:
    """A note where the quick calibration passes over what people said."""
    if count := len(opened.store.feedback()):
        answers = "1 answer" if count == 1 else f"{count} answers"
        yield f"feedback on {answers} is not used here; `kenspeckle calibrate` uses it"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a full calibration is asked for.

    `fpir` is the rate, 0 for the calibrated or the usual one; `strangers` a folder of photos of
    other things, `photos` a table with the columns path, label and item; `views` the number of
    camera views of each item, None for as many as usual; `second_look` the local features (`sift`,
    `orb`) whose weight is fitted too, empty for none. Raises SettingError.
    """

    fpir: float = 0.0
    strangers: Path | None = None
    photos: Path | None = None
    views: int | None = None
    second_look: str = ""

    def __post_init__(self) -> None:
        if self.fpir != 0:
            check_rate(self.fpir)
        if self.views is not None and not 0 <= self.views <= MOST_VIEWS:
            raise SettingError("views", f"{self.views}", expected=f"0 to {MOST_VIEWS}")
        if self.second_look not in ("", "off", "sift", "orb"):
            raise SettingError("second look", repr(self.second_look), expected="sift, orb or off")


def full(opened: Opened, wanted: Wanted, progress: Progress | None = None) -> Calibration:
    """The rule fitted on everything there is.

    It is of the gallery as it is at the start, whatever is committed meanwhile. A rate that is
    asked for is refused if the trials do not support it; without one the promise says what is
    supported. Raises PromiseRefused, CatalogError, ModelError, MissingExtra; nothing is stored.
    """
    return _full(opened.still(), wanted, progress)


def _full(opened: ReadOnly, wanted: Wanted, progress: Progress | None) -> Calibration:
    store = opened.store
    standing, known = store.standing(), known_of(opened)
    listed = strangers_in(wanted.strangers) if wanted.strangers is not None else Photos()
    listed += photos_in(wanted.photos, store) if wanted.photos is not None else Photos()
    _refuse_early(known, listed, wanted)
    again = _again(opened, wanted.second_look)
    photos = embed(opened, listed, known, progress, again)
    if wanted.strangers is not None and not photos.strangers:
        raise PromiseRefused(
            str(wanted.strangers),
            "no photo of a stranger: all are references, or cannot be read",
            do="Give photos of things that are not in the gallery",
        )
    plan = [] if wanted.views == 0 else [*unchanged(known), *plan_views(known, SEED, wanted.views)]
    making = _counted(make_views(opened, plan, math.inf, again), len(plan), progress)
    kinds = offered(opened, len(known.references))
    made = gather(opened, known, kinds, making, again=again is not None)
    twins = known.twins | look_alikes(opened, known, made.level_of_twins())
    photos = _with_feedback(opened, photos, again)
    notes = (
        *_made_of(photos, views=bool(made.items)),
        *photos.notes,
        *exclusions(opened, made, len(twins), len(plan)),
    )
    answers = Answers.of(opened, known, made, photos, twins)
    rule, material = _fitted(
        opened, answers, subject_of(opened, known, standing), (wanted.fpir, again), notes
    )
    beyond = beyond_trials(opened, known, photos.strangers, material, rule)
    return replace(rule, notes=(*rule.notes, *beyond))


def keep(store: Store, calibration: Calibration | None, edition: int) -> None:
    """Store a rule, unless another file has taken the place of the one of that `edition`.

    The counters of that one may be the same by chance, and the rule look as if it were of it.
    Raises IndexBusy.
    """
    with store.one_commit():
        if store.edition != edition:
            raise IndexBusy(
                Path(store.path),
                "another file was put in its place while it was calibrated",
                do="Calibrate that one",
            )
        store.set_calibration(calibration)


def _refuse_early(known: Known, listed: Photos, wanted: Wanted) -> None:
    """Refuse what cannot come to a promise, before the work."""
    if not known.references:
        raise PromiseRefused("calibration", "an empty gallery", do="Index references first")
    if not wanted.fpir:
        return
    things = {row.thing for row in listed.rows if row.item < 0}
    if things or (len(known.references) > 1 and wanted.views != 0):
        kind: Strangers = "given" if things else "like your items"
        refuse_few(kind, len(things or known.references), wanted.fpir)


def _again(opened: ReadOnly, asked: str) -> SecondLookRule | None:
    """The second look whose weight is to be fitted: the one asked for, else that of the settings.

    Its features are tried once, so that a missing extra is told before the work."""
    features = asked or opened.settings.identify.second_look
    if features in ("", "off"):
        return None
    open_features(features).close()
    shortlist = opened.settings.identify.shortlist or USUAL.shortlist
    return replace(USUAL, features=features, shortlist=shortlist)


def _told(total: int, progress: Progress | None) -> Callable[[], None] | None:
    """Tell that the work goes on before the first of the views."""
    return None if progress is None else lambda: progress(Step(0, total, ""))


def _counted(
    views: Iterator[Query | None], total: int, progress: Progress | None
) -> Iterator[Query | None]:
    for number, view in enumerate(views, 1):
        if progress:
            progress(Step(number, total, view.reference.path if view and view.reference else ""))
        yield view


def _with_feedback(opened: ReadOnly, photos: Embedded, again: SecondLookRule | None) -> Embedded:
    """The photos with near copies of strangers counted once, and with what people have said.

    Of photos that people have spoken about only vectors are kept, which a second look cannot see:
    beside photos that it can they would look like worse ones.
    """
    given, merged = distinct(photos.strangers)
    notes = list(photos.notes)
    if merged:
        notes.append(f"strangers counted with another, nearly the same picture: {merged}")
    told = heard(opened)
    back = remembered(opened, () if again else told.usable)
    if again and told.usable:
        notes.append(
            f"confirmed or rejected answers, not used for a second look: {len(told.usable)}"
        )
    return Embedded(
        photos.known + back.known,
        given,
        back.rejected,
        (*notes, *told.notes(), *back.notes),
    )


def _fitted(
    opened: ReadOnly,
    answers: Answers,
    subject: Subject,
    asked: tuple[float, SecondLookRule | None],
    notes: tuple[str, ...],
) -> tuple[Calibration, Material]:
    """Choose the score, fit the weight of a second look, then the rule."""
    fpir, again = asked
    rate, kinds = fpir or opened.fpir, answers.made.kinds
    usual = usual_score("cohort" in kinds, subject.items)
    # Only labelled photos ask for the threshold in force, and so for the cohort, by every score.
    general = {kind: general_of(opened, kind, SEED) for kind in kinds if answers.known}
    materials = {kind: answers.material(kind, general.get(kind, NO_TRIALS)) for kind in kinds}
    score, rows = choose(materials, rate, usual)
    told = [*side_by_side(rows, rate), *too_few(materials[score])]
    looked = again
    if again is not None:
        weight = fit_weight(answers.looked(), score, rate)
        again = replace(again, weight=weight) if weight else None
        answers = answers.weighted(weight)
        told.append(
            f"second look: weight {weight:g}" if again else "second look: no gain, left out"
        )
    if score not in general:
        general[score] = general_of(opened, score, SEED)
    material = answers.material(score, general[score])
    rule = fit(
        subject,
        score,
        material.known,
        material.strangers(),
        rate,
        strict=fpir > 0,
        method="full",
        views=answers.made.views(),
        labelled=material.labelled,
        notes=(*notes, *told),
    )
    if rule is None:
        raise PromiseRefused(
            f"FPIR {percent(rate)}",
            "no stranger to fit a threshold on",
            do="Give photos of things that are not in the gallery: --strangers",
        )
    rule = replace(rule, second_look=again)
    share = answers.per_region(score, rule.threshold)
    more = [*unseen(rule), *weaker(opened.store.calibration(), rule, answers, looked)]
    if share is not None:
        more.append(
            f"the rate is per photo; of single regions of strangers {percent(share)} get a name"
        )
    return replace(rule, notes=(*rule.notes, *more)), material


def _made_of(photos: Embedded, *, views: bool) -> Iterator[str]:
    """What the trials are made of."""
    things = len({query.item for query in photos.strangers})
    if things:
        yield f"strangers given: {len(photos.strangers)} photos of {things} things"
    if photos.known:
        shown = len({query.item for query in photos.known})
        yield f"labelled photos: {len(photos.known)} of {shown} items"
    elif views:
        yield VIEWS
    if photos.rejected:
        yield f"answers rejected: {len(photos.rejected)}"
