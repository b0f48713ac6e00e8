"""`kenspeckle index`."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated

import typer

from kenspeckle.cli import console, options
from kenspeckle.cli.group import STOPPED
from kenspeckle.cli.index_job import (
    Job,
    index_npz,
    plan_data,
    report_data,
    report_lines,
)
from kenspeckle.cli.opening import device
from kenspeckle.flows.index import Step


def index(
    references: Annotated[
        str | None,
        typer.Argument(
            metavar="REFS", help="Folder of reference pictures, or a table (.csv, .jsonl)."
        ),
    ] = None,
    refs: Annotated[
        str | None,
        typer.Option(
            "--refs",
            metavar="FOLDER",
            help="The same for a flat folder of cards; the index is then card_index.npz.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="The index: .npz by that suffix, an index file by any other name. "
            "Default: gallery.ken.",
            show_default=False,
        ),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option("--table", metavar="FILE", help="Table that names pictures below REFS."),
    ] = None,
    naming: Annotated[
        str | None,
        typer.Option("--naming", metavar="SCHEME", help="How files are named: cards, plain, auto."),
    ] = None,
    label_from: Annotated[
        str | None,
        typer.Option(
            "--label-from",
            metavar="FIELD",
            help="Label of gathered pictures (manifest.json): query or title.",
        ),
    ] = None,
    model: options.Model = None,
    projection: options.Head = None,
    views: Annotated[
        int | None,
        typer.Option("--views", metavar="N", help="Camera views enrolled beside each reference."),
    ] = None,
    calibrate: Annotated[
        bool | None,
        typer.Option(
            "--calibrate/--no-calibrate",
            help="Fit the rule for unknown things afterwards (default), or do not.",
            show_default=False,
        ),
    ] = None,
    fpir: options.Fpir = None,
    regions: options.Regions = None,
    rehash: Annotated[
        bool, typer.Option("--rehash", help="Compare contents even where size and time agree.")
    ] = False,
    replace_all: Annotated[
        bool, typer.Option("--replace", help="Let another folder replace what is indexed.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")
    ] = False,
    callers: options.Callers = None,
    home: options.Home = None,
    offline: options.Offline = None,
    as_json: options.AsJson = False,
) -> None:
    """Make or update an index from a folder of reference pictures.

    Only new and changed pictures are embedded. Pictures that cannot be used are named, and the
    others go on.
    """
    given = {
        "index.path": out,
        "index.naming": naming,
        "index.label_from": label_from,
        "index.views": views,
        "index.calibrate": calibrate,
        "index.callers": callers,
        "identify.fpir": fpir,
        "identify.regions": regions,
        "models.name": model,
        "models.head": projection,
        "models.home": home,
        "models.offline": offline,
    }
    settings = options.settings(given)
    if references is not None and refs is not None:
        raise typer.BadParameter("name the references once", param_hint="'REFS' / '--refs'")
    if references is None and refs is None and not settings.index.refs:
        raise typer.BadParameter("name a folder or table of references", param_hint="'REFS'")
    if "" in (references, refs, table):
        raise typer.BadParameter("an empty name", param_hint="'REFS' / '--refs' / '--table'")
    if refs is not None and naming is None and settings.index.naming == "auto":
        settings = replace(settings, index=replace(settings.index, naming="cards"))
    job = Job(
        settings,
        source=refs or references or settings.index.refs,
        out=settings.index.path or ("gallery.ken" if refs is None else "card_index.npz"),
        table=table,
        flat=refs is not None,
        rehash=rehash,
        replace_all=replace_all,
    )
    job.check()
    try:
        if dry_run:
            _foretell(job, as_json)
        elif job.out.lower().endswith(".npz") and not as_json:
            index_npz(job)
        else:
            _index(job, as_json)
    except KeyboardInterrupt:
        console.note(job.kept())
        raise typer.Exit(STOPPED) from None


def _foretell(job: Job, as_json: bool) -> None:
    work = job.plan()
    if as_json:
        console.json_line(plan_data(work))
        return
    for text in work.lines():
        console.line(text)


def _index(job: Job, as_json: bool) -> None:
    start = time.perf_counter()
    with job.opened() as gallery:
        device(gallery, job.settings)
        with console.progress("indexed") as tell:

            def step(one: Step) -> None:
                last = one.done == one.total and job.settings.index.calibrate
                doing = "fitting the rule for unknown things" if last else one.path
                tell(one.done, one.total, doing)

            report = job.run(gallery, step)
        data = report_data(job, report, gallery)
        lines = report_lines(job, report, gallery, time.perf_counter() - start)
    if as_json:
        console.json_line(data)
        return
    for text in lines:
        console.prose(text)
