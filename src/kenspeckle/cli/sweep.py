"""`kenspeckle sweep`: a grid of rules, models and numbers on one dataset, a row for each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from kenspeckle._extras import need
from kenspeckle.cli import console, options, sweep_text
from kenspeckle.cli.sweep_grid import Asked, planned
from kenspeckle.evaluate.cache import VectorCache, default_folder
from kenspeckle.evaluate.datasets import read
from kenspeckle.evaluate.report.page import html
from kenspeckle.evaluate.sweep.counts import best
from kenspeckle.evaluate.sweep.draw import SweepDraw, draw
from kenspeckle.evaluate.sweep.grid import PRESETS
from kenspeckle.evaluate.sweep.ledger import Ledger
from kenspeckle.evaluate.sweep.run import Sweep, run


def _number(flags: str, about: str, least: int | None = None) -> Any:
    """An option that takes one number."""
    return typer.Option(*flags.split(), metavar="N", min=least, help=about, show_default=False)


def _list(flags: str, about: str) -> Any:
    """An option that takes several values, separated by commas."""
    return typer.Option(*flags.split(), metavar="A,B,…", help=about, show_default=False)


def sweep(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Labelled pictures: a folder or a table.")
    ],
    preset: Annotated[
        str,
        typer.Option("--preset", metavar="NAME", help=f"A grid by name: {', '.join(PRESETS)}."),
    ] = "",
    layout: Annotated[
        str, typer.Option("--layout", metavar="NAME", help="How the dataset lies on the disk.")
    ] = "auto",
    methods: Annotated[
        str | None,
        _list(
            "--methods --matching-method", "Rules; multi-ref-mean and multi-ref-max say the pool."
        ),
    ] = None,
    thresholds: Annotated[str | None, _list("--thresholds", "Thresholds T.")] = None,
    margins: Annotated[str | None, _list("--margins", "Margins m.")] = None,
    refs: Annotated[str | None, _list("--refs", "References an item, R.")] = None,
    models: Annotated[
        str | None,
        _list("--models", "Models; `baseline` is the one in force, `tuned` that of --tuned."),
    ] = None,
    modes: Annotated[str | None, _list("--modes", "Preprocessing modes.")] = None,
    heads: Annotated[str | None, _list("--heads", "Projection heads; `none` is without.")] = None,
    tuned: Annotated[
        str | None,
        typer.Option(
            "--tuned",
            metavar="NAME",
            help="The tuned model: a head's file, a checkpoint or a name.",
            show_default=False,
        ),
    ] = None,
    num_logos: Annotated[
        int | None, _number("--num-logos -n", "Items drawn; as many others serve to fit.", 1)
    ] = None,
    refs_per_logo: Annotated[
        int | None, _number("--refs-per-logo", "References an item, R.", 1)
    ] = None,
    positive_samples: Annotated[
        int | None, _number("--positive-samples", "Pictures of an item asked about.", 1)
    ] = None,
    negative_samples: Annotated[
        int | None, _number("--negative-samples", "Pictures without it asked about.", 0)
    ] = None,
    min_matching_refs: Annotated[
        int | None, _number("--min-matching-refs", "References that have to match, n.", 1)
    ] = None,
    threshold: Annotated[float | None, _number("--threshold -t", "The threshold T.")] = None,
    margin: Annotated[float | None, _number("--margin", "The margin m.")] = None,
    use_max_similarity: Annotated[
        bool | None,
        typer.Option(
            "--use-max-similarity/--use-mean-similarity",
            help="Whether multi-ref takes the largest similarity of an item, or the mean.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int | None, _number("--seed -s", "Seed of the draw.", 0)] = None,
    regions: Annotated[
        str,
        typer.Option(
            "--regions",
            metavar="RULE",
            help="truth, whole, center, windows, quad or auto. Default: truth where there are "
            "boxes, else whole.",
        ),
    ] = "",
    rule: Annotated[
        str,
        typer.Option("--rule", metavar="WHICH", help="ours, or legacy: margin among survivors."),
    ] = "ours",
    count: Annotated[
        str, typer.Option("--count", metavar="WHICH", help="ours, or legacy beside ours.")
    ] = "ours",
    model: options.Model = None,
    projection: options.Head = None,
    preprocess_mode: options.Mode = None,
    home: options.Home = None,
    offline: options.Offline = None,
    callers: options.Callers = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Rows as JSON lines; those in it are not made again. Default: sweep-PRESET.jsonl.",
            show_default=False,
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache", metavar="FOLDER", help="Where vectors are kept.", show_default=False
        ),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no vectors.")] = False,
    html_file: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Write a report with plots.", show_default=False
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Try a grid of rules, models and numbers on labelled pictures, a row for each.

    The settings of the bench's scripts are read from the environment as well: NUM_LOGOS, SEED,
    THRESHOLD, THRESHOLDS, MARGIN, REFS_PER_LOGO, MODEL, USE_MAX_SIM and the like.
    """
    given = {
        "models.name": model,
        "models.head": projection,
        "models.mode": preprocess_mode,
        "models.home": home,
        "models.offline": offline,
        "index.callers": callers,
    }
    settings = options.settings(given)
    for name, value in (("--count", count), ("--rule", rule)):
        if value not in ("ours", "legacy"):
            raise typer.BadParameter(f"{value!r}; expected ours or legacy", param_hint=name)
    asked = Asked(
        preset=preset,
        lists={
            "method": methods,
            "threshold": thresholds,
            "margin": margins,
            "refs": refs,
            "model": models,
            "mode": modes,
            "head": heads,
        },
        single={
            "threshold": threshold,
            "margin": margin,
            "refs": refs_per_logo,
            "least": min_matching_refs,
        },
        sampling={
            "logos": num_logos,
            "positives": positive_samples,
            "negatives": negative_samples,
            "seed": seed,
        },
        maximum=use_max_similarity,
        legacy=rule == "legacy",
        tuned=tuned,
    )
    plan = planned(asked, settings.models, dict(os.environ))
    if plan.environment:
        console.note(f"From the environment: {', '.join(plan.environment)}.")
    if html_file is not None:
        need("matplotlib", "a report with plots")
    data = read(dataset, layout)
    job = Sweep(
        data,
        plan.cells,
        plan.sampling,
        models=settings.models,
        limits=settings.image,
        callers=settings.index.callers,
        details=plan.details,
        regions=regions,
    )
    where = out or Path(f"sweep-{preset or 'grid'}.jsonl")
    folder = None if no_cache else cache or default_folder()
    drawn = draw(data, plan.sampling)
    _say(job, drawn, where)
    rows = []
    with (
        Ledger(where) as ledger,
        VectorCache(folder) as kept,
        console.progress("embedded") as tell,
    ):
        known = len(ledger.rows)
        for row in run(job, kept, ledger, tell, drawn=drawn):
            rows.append(row)
            if as_json:
                console.json_line(row)
        made = len(ledger.rows) - known
    console.note(
        f"{console.counted(len(rows), 'row')}, {len(rows) - made} of them from {where}; "
        f"{console.counted(kept.embedded, 'region')} embedded."
    )
    if html_file is not None:
        html([], rows, html_file)
    if not as_json:
        sweep_text.show(rows, count, best(rows, count))


def _say(job: Sweep, drawn: SweepDraw, where: Path) -> None:
    """What the figures are about, before they come."""
    data = job.dataset
    console.note(f"{data.name} ({data.layout}): {console.counted(len(data.items), 'item')}.")
    for why, number in data.reasons.items():
        console.note(f"Left out: {number:,} × {why}.")
    for note in (*data.notes, *drawn.notes):
        console.note(f"Note: {note}.")
    if job.boxed and not job.regions:
        console.note(
            "Regions truth: each true box is asked about. --regions whole asks about each picture "
            "as a whole, as evaluate does by default."
        )
    console.note(f"Rows go to {where}.")
