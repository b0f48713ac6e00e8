"""`kenspeckle evaluate`: also by the options and defaults of the former logo test bench."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from kenspeckle._aside import written
from kenspeckle.cli import console, evaluate_job, evaluate_report, fixed_rule, options
from kenspeckle.cli.evaluate_job import Job
from kenspeckle.config import USUAL_FPIR
from kenspeckle.evaluate.cache import default_folder
from kenspeckle.evaluate.protocols import SEED
from kenspeckle.evaluate.run import COUNTED
from kenspeckle.evaluate.text import answers, lines
from kenspeckle.match.aggregate import SCORES

OURS = "ours"


def evaluate(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET", help="Labelled pictures: a folder, a table, a mapping database."
        ),
    ],
    layout: Annotated[
        str, typer.Option("--layout", metavar="NAME", help="How the pictures lie.")
    ] = "auto",
    draws: Annotated[
        int | None,
        typer.Option(
            "--draws",
            metavar="N",
            min=1,
            help="Draws of items; 5, or 1 of the bench's.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", "-s", metavar="S", min=0, help="Seed of the draws.")
    ] = SEED,
    fpir: Annotated[
        float | None,
        typer.Option(
            "--fpir",
            metavar="RATE",
            help="Share of strangers that may get a name; the threshold is fitted for it, on items "
            f"that are not reported. {USUAL_FPIR:g}.",
            show_default=False,
        ),
    ] = None,
    regions: Annotated[
        str | None,
        typer.Option(
            "--regions",
            metavar="RULE",
            help="Parts of a photo that are asked about: truth (the true boxes), whole, center, "
            "windows, quad or auto. whole; truth for the bench's draw of pictures with boxes.",
            show_default=False,
        ),
    ] = None,
    score: Annotated[
        str,
        typer.Option(
            "--score",
            metavar="NAME",
            help=f"Score of our decision: {', '.join(SCORES)}, or auto: the one that names most of "
            "the items that the threshold is fitted on. margin where a threshold is given.",
        ),
    ] = evaluate_job.AUTO,
    method: fixed_rule.Named = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            "-t",
            metavar="T",
            help="Use this threshold in place of a fitted one. 0.7 for the bench's draw.",
            show_default=False,
        ),
    ] = None,
    margin: fixed_rule.Margin = None,
    min_matching_refs: fixed_rule.Least = None,
    use_max_similarity: fixed_rule.Most = None,
    top_k: fixed_rule.TopK = None,
    outlier_free: fixed_rule.OutlierFree = None,
    rule: fixed_rule.Pool = None,
    refs_per_logo: Annotated[
        int | None,
        typer.Option(
            "--refs-per-logo",
            "--references",
            metavar="R",
            min=1,
            help="The most references of each item; all, or 3 of the bench's.",
            show_default=False,
        ),
    ] = None,
    num_logos: Annotated[
        int | None,
        typer.Option(
            "--num-logos",
            "-n",
            metavar="N",
            min=1,
            help="Draw as the bench did: N items, some photos of each and some of others; 10.",
            show_default=False,
        ),
    ] = None,
    positive_samples: Annotated[
        int | None,
        typer.Option(
            "--positive-samples",
            metavar="P",
            min=1,
            help="The bench's draw: photos of each item; 5.",
            show_default=False,
        ),
    ] = None,
    negative_samples: Annotated[
        int | None,
        typer.Option(
            "--negative-samples",
            metavar="Q",
            min=0,
            help="The bench's draw: photos of other things for each item; 20.",
            show_default=False,
        ),
    ] = None,
    ask_references: Annotated[
        bool,
        typer.Option(
            "--ask-references", help="Also ask about pictures that gave a reference, as it did."
        ),
    ] = False,
    bench: Annotated[
        bool, typer.Option("--bench", help="The bench's draw, rule and numbers by default.")
    ] = False,
    detr_threshold: Annotated[
        float | None,
        typer.Option(
            "--detr-threshold",
            "-d",
            metavar="D",
            min=0.0,
            max=1.0,
            help="Least score of a detector's regions. No detector is asked yet.",
            show_default=False,
        ),
    ] = None,
    count: Annotated[
        str,
        typer.Option(
            "--count", metavar="ours|legacy", help="Count told first; the other stands below it."
        ),
    ] = OURS,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint",
            metavar="URL",
            help="Ask another system: post each photo there, read label and score from JSON.",
            show_default=False,
        ),
    ] = None,
    endpoint_field: Annotated[
        str,
        typer.Option(
            "--endpoint-field",
            metavar="NAME",
            help="Post a form with this file field in place of the bare bytes.",
            show_default=False,
        ),
    ] = "",
    endpoint_seconds: Annotated[
        float, typer.Option("--endpoint-seconds", metavar="S", help="What one photo may take.")
    ] = 30.0,
    similarity_details: Annotated[
        bool, typer.Option("--similarity-details", help="Also tell how similarities lie.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also tell every answer.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Write figures and answers as JSON; - is stdout.",
            show_default=False,
        ),
    ] = None,
    html_file: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Write a report with plots.", show_default=False
        ),
    ] = None,
    before: Annotated[
        Path | None,
        typer.Option(
            "--before",
            metavar="FILE",
            help="The --json of a former run on the same pictures, to compare this one with.",
            show_default=False,
        ),
    ] = None,
    seen: Annotated[
        Path | None,
        typer.Option(
            "--seen",
            metavar="FILE",
            help="Labels that the model was trained on, one a line; they are told apart.",
            show_default=False,
        ),
    ] = None,
    output_file: Annotated[
        Path | None,
        typer.Option(
            "--output-file",
            metavar="FILE",
            help="Append the text as a dated block.",
            show_default=False,
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache",
            metavar="FOLDER",
            help="Where vectors are kept between runs.",
            show_default=False,
        ),
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no vectors.")] = False,
    clear_cache: Annotated[
        bool, typer.Option("--clear-cache", help="Forget the vectors that are kept, first.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "--embedding-model",
            "-e",
            metavar="NAME",
            help="Model: a name of `kenspeckle models list`, or a path.",
            show_default=False,
        ),
    ] = None,
    projection: options.Head = None,
    mode: options.Mode = None,
    home: options.Home = None,
    offline: options.Offline = None,
    callers: options.Callers = None,
) -> None:
    """Measure on labelled pictures: new photos of enrolled items, and strangers.

    Items are drawn into three groups: enrolled and asked about, left out of the gallery as
    strangers, and others that the threshold is fitted on. Exit code 0, whatever the figures.
    """
    given = {
        "margin": margin,
        "least": min_matching_refs,
        "most": use_max_similarity,
        "top": top_k,
        "outlier_free": outlier_free,
        "pool": rule,
    }
    if count not in COUNTED:
        raise typer.BadParameter(f"{count!r}; expected ours or legacy", param_hint="--count")
    asked, plan = (num_logos, positive_samples, negative_samples), None
    if bench or any(value is not None for value in asked):
        plan = evaluate_job.logo_plan(num_logos, refs_per_logo, positive_samples, negative_samples)
        plan = replace(plan, ask_references=ask_references)
        method = method or "margin"
        if threshold is None and fpir is None and method != OURS:
            threshold = evaluate_job.BENCH_THRESHOLD
    if endpoint is not None:
        _only_the_other(
            regions=regions,
            method=method,
            threshold=threshold,
            draws=draws,
            bench=plan,
            model=model,
        )
    if threshold is not None and fpir is not None:
        raise typer.BadParameter("a rate fits the threshold: name one of the two", param_hint="-t")
    settings = options.settings(
        {
            "identify.fpir": fpir,
            "models.name": model,
            "models.head": projection,
            "models.mode": mode,
            "models.home": home,
            "models.offline": offline,
            "index.callers": callers,
        }
    )
    rate = None if threshold is not None else settings.identify.fpir or USUAL_FPIR
    if detr_threshold is not None:
        console.note("--detr-threshold has no effect: no detector is asked.")
    job = Job(
        dataset=dataset,
        layout=layout,
        draws=draws,
        seed=seed,
        regions=regions or "",
        bench=plan,
        references=refs_per_logo,
        ask_references=ask_references,
        judge=evaluate_job.judge(None if method == OURS else method, score, threshold, given),
        fpir=rate if endpoint is None else fpir,
        count=count,
        details=similarity_details,
        endpoint=evaluate_job.endpoint(endpoint, endpoint_field, endpoint_seconds),
        cache=None if no_cache else cache or default_folder(),
        clear=clear_cache,
        settings=settings,
    )
    beside = evaluate_report.beside(html_file, before, seen)
    found, read = evaluate_job.run(job)
    told = [*lines(found), *beside.lines(found), *(answers(found) if verbose else ())]
    if json_file != Path("-"):
        for text in told:
            console.line(text)
    _write(found.to_dict() | beside.to_dict(found), told, json_file, output_file)
    beside.write(found, read)


def _only_the_other(**given: object) -> None:
    """Refuse what says how *we* decide when another system is asked."""
    for name, value in given.items():
        if value is not None:
            raise typer.BadParameter(
                "another system is asked, which has its own", param_hint=f"--{name}"
            )


def _write(
    data: dict[str, Any], told: list[str], json_file: Path | None, output_file: Path | None
) -> None:
    """The files that were asked for."""
    if json_file == Path("-"):
        console.json_line(data)
    elif json_file is not None:
        with written(json_file) as file:
            file.write(json.dumps(data, indent=1).encode())
    if output_file is not None:
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        with output_file.open("a", encoding="utf-8") as block:
            block.write("\n".join([f"=== {now}", *map(console.safe, told), "", ""]))
