"""The report as one HTML file: no request leaves it, light and dark, from phone to desk.

Needs the extra `report` for its plots. All text is escaped, pictures and plots lie inside the file,
and its content policy forbids everything else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from pathlib import Path

from kenspeckle._aside import written
from kenspeckle.catalog.entry import shown
from kenspeckle.errors import InputError
from kenspeckle.evaluate.report import head, plots, scores
from kenspeckle.evaluate.report.compare import comparison, familiar
from kenspeckle.evaluate.report.markup import Html, join, tag
from kenspeckle.evaluate.report.mistakes import gallery
from kenspeckle.evaluate.report.pictures import Pictures
from kenspeckle.evaluate.report.sweep import Row, sweep
from kenspeckle.evaluate.result import Evaluation
from kenspeckle.evaluate.samples import Dataset

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def html(
    evaluations: Evaluation | Sequence[Evaluation],
    rows: Sequence[Row] = (),
    out: Path | None = None,
    *,
    dataset: Dataset | None = None,
    seen: Collection[str] = (),
) -> str:
    """The report of one evaluation, of several against the first, of the rows of a sweep, or both.

    With `dataset` a mistake shows what it should have been, and crops of references as crops.
    `seen` are labels that a model was trained on. With `out` the page is written there too.

    Raises MissingExtra without matplotlib, InputError when there is nothing to report or the file
    cannot be written.
    """
    plots.required()
    every = [evaluations] if isinstance(evaluations, Evaluation) else list(evaluations)
    if not every and not rows:
        raise InputError("report", "no evaluation", expected="one or more, or rows of a sweep")
    named = _named(every)
    body = [tag("p", "kenspeckle", cls="brand"), _title(named), _contents(named)]
    body.append(comparison(named, seen))
    if len(named) > 1:
        body.append(scores.curves(named, "all"))
    body.append(sweep(rows))
    for number, (name, one) in enumerate(named.items()):
        pictures = Pictures(Path(one.folder), dataset)
        body.append(_one(one, name if len(named) > 1 else "", number, pictures, seen))
    text = _page(" and ".join(named) or "Sweep", join(body))
    if out is not None:
        _write(out, text)
    return text


def _write(out: Path, text: str) -> None:
    try:
        with written(out) as file:
            file.write(text.encode())
    except OSError as error:
        raise InputError(
            shown(str(out)),
            f"cannot be written: {error.strerror}",
            do="Name a file in a folder that exists and may be written to",
        ) from error


def _named(every: Sequence[Evaluation]) -> dict[str, Evaluation]:
    """By name; of two with one name the later gets a number."""
    named: dict[str, Evaluation] = {}
    for one in every:
        name, count = one.name, 1
        while name in named:
            count += 1
            name = f"{one.name} ({count})"
        named[name] = one
    return named


def _title(named: Mapping[str, Evaluation]) -> Html:
    if len(named) == 1:
        ((name, one),) = named.items()
        return tag("header", tag("h1", name), tag("p", head.lead(one), cls="lead"))
    return tag("header", tag("h1", " against ".join(named) or "Sweep"))


def _contents(named: Mapping[str, Evaluation]) -> Html:
    """Links to the parts of a page of several evaluations."""
    if len(named) < 2:
        return Html("")
    links = (tag("a", name, href=f"#part-{number}") for number, name in enumerate(named))
    return tag("nav", *links)


def _one(
    one: Evaluation, name: str, number: int, pictures: Pictures, seen: Collection[str]
) -> Html:
    title = Html("")
    if name:
        title = tag("header", tag("h1", name), tag("p", head.lead(one), cls="lead"))
    place = f"{number}"
    parts = (
        head.head(one),
        head.finding(one),
        familiar(one, seen),
        Html("") if name else scores.curves({one.name: one}, place),
        scores.distributions(one, place),
        scores.confidence(one, place),
        gallery(one, pictures),
        scores.similarities(one.details),
        head.figures(one),
        head.exclusions(one),
    )
    return tag("div", title, *parts, id=f"part-{number}", cls="part")


def _page(title: str, body: Html) -> str:
    sheet = resources.files("kenspeckle.evaluate.report") / "page.css"
    style = Html(sheet.read_text(encoding="utf-8"))
    policy = tag("meta", **{"http-equiv": "Content-Security-Policy", "content": POLICY})
    top = tag(
        "head",
        tag("meta", charset="utf-8"),
        policy,
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{title}: evaluation"),
        tag("style", style),
    )
    return f'<!doctype html>\n<html lang="en">{top}{tag("body", tag("main", body))}</html>\n'
