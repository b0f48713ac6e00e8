"""What `kenspeckle evaluate` does with its options."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from kenspeckle._extras import need
from kenspeckle.cli import console
from kenspeckle.cli.fixed_rule import fixed_rule
from kenspeckle.config import Settings
from kenspeckle.errors import SettingError
from kenspeckle.evaluate.bank import TRUTH, check_regions
from kenspeckle.evaluate.cache import FILE, VectorCache
from kenspeckle.evaluate.datasets import read
from kenspeckle.evaluate.endpoint import Endpoint
from kenspeckle.evaluate.fitting import AnyJudge, Chosen
from kenspeckle.evaluate.foreign import evaluate_callable
from kenspeckle.evaluate.judges import LOWEST, Ruled, Scored
from kenspeckle.evaluate.logo_draw import LogoPlan, logo_draws
from kenspeckle.evaluate.protocols import Draw, Plan
from kenspeckle.evaluate.protocols import draws as drawn
from kenspeckle.evaluate.result import Evaluation, Value
from kenspeckle.evaluate.run import judged, prepare
from kenspeckle.evaluate.samples import Dataset
from kenspeckle.match.aggregate import SCORES
from kenspeckle.vectors.embed import open_embedder

DRAWS = 5
BENCH_THRESHOLD = 0.7
AUTO = "auto"
"""The score is chosen, as `calibrate` does it."""
_WHOLE = (
    "Regions whole: each picture is asked about as a whole, though true boxes are known. "
    "--regions truth asks about each box."
)
_BOXED = (
    "Regions truth: each true box is asked about. --regions whole asks about each picture as a "
    "whole."
)


@dataclass(frozen=True, slots=True)
class Job:
    """One evaluation as asked for; None and empty are what the dataset and the draw suggest."""

    dataset: str
    layout: str
    draws: int | None
    seed: int
    regions: str
    bench: LogoPlan | None
    references: int | None
    ask_references: bool
    judge: AnyJudge
    fpir: float | None
    count: str
    details: bool
    endpoint: Endpoint | None
    cache: Path | None
    clear: bool
    settings: Settings


def logo_plan(
    logos: int | None, references: int | None, positives: int | None, negatives: int | None
) -> LogoPlan:
    """The bench's draw with its defaults."""
    usual = LogoPlan()
    return LogoPlan(
        logos=usual.logos if logos is None else logos,
        references=usual.references if references is None else references,
        positives=usual.positives if positives is None else positives,
        negatives=usual.negatives if negatives is None else negatives,
    )


def endpoint(url: str | None, field: str, seconds: float) -> Endpoint | None:
    """The system at an address, if one is named. Raises typer's BadParameter."""
    if url is None:
        return None
    try:
        return Endpoint(url, field, seconds)
    except SettingError as error:
        raise typer.BadParameter(
            f"{error.found}; expected {error.expected}", param_hint=f"--{error.thing}"
        ) from error


def judge(
    method: str | None, score: str, threshold: float | None, given: dict[str, Any]
) -> AnyJudge:
    """Our decision by a score, or the fixed rule that is named. Raises typer's BadParameter."""
    if method is None:
        if threshold is not None and not LOWEST <= threshold <= -LOWEST:  # false for nan as well
            raise typer.BadParameter(f"{threshold}; expected between -2 and 2", param_hint="-t")
        fixed_rule(None, given)  # refuses what belongs to a rule alone
        if score == AUTO:
            return Chosen() if threshold is None else Scored(threshold=threshold)
        if score not in SCORES:
            named = ", ".join((*SCORES, AUTO))
            raise typer.BadParameter(f"{score!r}; expected one of {named}", param_hint="--score")
        return Scored(score) if threshold is None else Scored(score, threshold)
    usual = BENCH_THRESHOLD if threshold is None else threshold
    rule = fixed_rule(method, {**given, "threshold": usual})
    if rule is None or (rule.legacy and threshold is None):
        raise typer.BadParameter(
            "legacy has no order of thresholds to fit one in: name it", param_hint="--threshold"
        )
    return Ruled(rule)


def run(job: Job) -> tuple[Evaluation, Dataset]:
    """Read, draw, embed, judge. Raises CatalogError, SettingError, InputError, ModelError,
    FetchError."""
    dataset = read(job.dataset, job.layout)
    return _evaluated(job, dataset), dataset


def _evaluated(job: Job, dataset: Dataset) -> Evaluation:
    if job.endpoint is not None:
        with console.progress("asked") as tell:
            return evaluate_callable(
                dataset,
                job.endpoint,
                name=str(job.endpoint),
                fpir=job.fpir,
                seed=job.seed,
                callers=job.settings.index.callers or 1,
                progress=tell,
            )
    boxes = any(one.boxes for one in (*dataset.queries, *dataset.strangers))
    if boxes and not job.regions:
        console.note(_BOXED if job.bench else _WHOLE)
    regions = _regions(job.regions or (TRUTH if boxes and job.bench else "whole"), boxes)
    embedder = open_embedder(job.settings.models)
    if job.cache is not None and job.clear:
        for path in job.cache.glob(f"{FILE}*"):
            path.unlink()
    try:
        with VectorCache(job.cache) as cache, console.progress("embedded") as tell:
            prepared = prepare(
                dataset,
                _draws(job, dataset),
                embedder,
                regions=regions,
                cache=cache,
                limits=job.settings.image,
                callers=job.settings.index.callers,
                progress=tell,
            )
        return judged(
            prepared,
            job.judge,
            fpir=job.fpir,
            count=job.count,
            with_details=job.details,
            settings=_told(job),
        )
    finally:
        embedder.close()


def _draws(job: Job, dataset: Dataset) -> Iterable[Draw]:
    if job.bench is not None:
        return logo_draws(dataset, job.draws or 1, seed=job.seed, plan=job.bench)
    plan = Plan(references=job.references or 0, ask_references=job.ask_references)
    return drawn(dataset, job.draws or DRAWS, seed=job.seed, plan=plan)


def _regions(asked: str, boxes: bool) -> str:
    """The rule asked for, refused once and as a wrong option where nobody could follow it."""
    try:
        rule = check_regions(asked, boxes)
    except SettingError as error:
        do = f". {error.do}" if error.do else ""
        raise typer.BadParameter(
            f"{error.found}; expected {error.expected}{do}", param_hint="--regions"
        ) from error
    if "quad" in rule.split("+"):
        need("cv2", "the region rule 'quad'")
    elif asked == "auto":
        console.note("Regions auto: without quad, which needs the extra 'geometry'.")
    return asked


def _told(job: Job) -> dict[str, Value]:
    """Settings that prepared vectors do not know of."""
    told: dict[str, Value] = {"seed": job.seed}
    if job.bench is not None:
        told |= {
            "items drawn": job.bench.logos,
            "photos of each": job.bench.positives,
            "photos of others for each": job.bench.negatives,
        }
    told["references of each, at most"] = job.bench.references if job.bench else job.references
    told["references asked about"] = "yes" if job.ask_references else None
    told["preprocessing"] = job.settings.models.mode or None
    return told
