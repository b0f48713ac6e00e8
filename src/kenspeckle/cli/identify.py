"""`kenspeckle identify`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from kenspeckle.catalog.walk import walk_through
from kenspeckle.cli import console, fixed_rule, options, wording
from kenspeckle.cli.opening import opened
from kenspeckle.config import Settings
from kenspeckle.errors import CatalogError, InputError, KenspeckleError
from kenspeckle.flows.by_rule import ByRule
from kenspeckle.flows.opened import Opened
from kenspeckle.gallery import Gallery
from kenspeckle.image.decode import SUFFIXES, decode
from kenspeckle.match.methods import Rule
from kenspeckle.types import Decision, Picture, in_percent
from kenspeckle.vectors.pipeline import Done, pooled

FAILED, ALL_UNKNOWN = 1, 3
INNER = frozenset({"stored_name", "listed_key"})
"""Metadata for former index files, and for later runs over the folder; nothing for people."""


@dataclass(frozen=True, slots=True)
class Photo:
    """One thing to answer for: a path or an address, or its bytes, or why there is neither."""

    name: str
    source: str | bytes | None
    error: KenspeckleError | None = None

    def __str__(self) -> str:
        return self.name


def identify(
    photos: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, addresses, or - for a picture on stdin.", metavar="PHOTO"
        ),
    ],
    index: options.Index = None,
    regions: options.Regions = None,
    top: Annotated[
        int | None,
        typer.Option("--top", metavar="N", help="Also list the N most likely items of each photo."),
    ] = None,
    second_look: Annotated[
        str | None,
        typer.Option(
            "--second-look",
            metavar="KIND",
            help="Compare local features of the nearest items: sift, orb or off. Default: as "
            "calibrated.",
            show_default=False,
        ),
    ] = None,
    evidence: Annotated[
        str | None,
        typer.Option(
            "--evidence",
            metavar="KINDS",
            help="Also read printed codes (EAN, QR), text, or codes,text of the nearest items.",
            show_default=False,
        ),
    ] = None,
    method: fixed_rule.Named = None,
    threshold: fixed_rule.Threshold = None,
    margin: fixed_rule.Margin = None,
    min_matching_refs: fixed_rule.Least = None,
    use_max_similarity: fixed_rule.Most = None,
    top_k: fixed_rule.TopK = None,
    outlier_free: fixed_rule.OutlierFree = None,
    rule: fixed_rule.Pool = None,
    model: options.Model = None,
    projection: options.Head = None,
    home: options.Home = None,
    offline: options.Offline = None,
    callers: options.Callers = None,
    as_json: options.AsJson = False,
) -> None:
    """Say which item each photo shows, or that it is none of them, and why.

    Exit code 0, or 3 when everything was unknown, or 1 when a photo failed (the others are
    answered all the same).
    """
    given = {
        "index.path": index,
        "index.callers": callers,
        "identify.regions": regions,
        "identify.top": top,
        "identify.second_look": second_look,
        "identify.evidence": evidence,
        "models.name": model,
        "models.head": projection,
        "models.home": home,
        "models.offline": offline,
    }
    fixed = fixed_rule.fixed_rule(
        method,
        {
            "threshold": threshold,
            "margin": margin,
            "least": min_matching_refs,
            "most": use_max_similarity,
            "top": top_k,
            "outlier_free": outlier_free,
            "pool": rule,
        },
    )
    if fixed is not None and evidence is not None:
        raise typer.BadParameter("a fixed rule looks at cosines alone", param_hint="--evidence")
    settings = options.settings(given)
    with opened(settings) as gallery:
        sources = list(listed(photos, settings.image.max_bytes))
        answers = _answers(gallery, sources, settings, fixed)
        if as_json:
            code = _code(_told(answers))
        else:
            with console.progress("identified") as tell:
                done = []
                for one in answers:
                    done.append(one)
                    if len(sources) > 1:
                        tell(len(done), len(sources), one.source.name)
            _show(done, top is not None)
            code = _code(done)
    raise typer.Exit(code)


def listed(words: Sequence[str], most: int) -> Iterator[Photo]:
    """What the words on the command line stand for; a folder stands for all pictures below it.

    `most` is how many bytes stdin may hold; it is read here, where Ctrl-C can interrupt it.
    """
    for word in words:
        if word == "-":
            yield _stdin(most)
        elif not word:
            yield Photo("(empty)", None, InputError("(empty)", "an empty name", expected="a photo"))
        elif not word.lower().startswith(("http://", "https://")) and Path(word).is_dir():
            yield from _folder(word)
        else:
            yield Photo(word, word)


def _stdin(most: int) -> Photo:
    try:
        return Photo("stdin", sys.stdin.buffer.read(most + 1))
    except OSError as error:  # it is closed
        why = f"it cannot be read ({error.strerror})"
        return Photo("stdin", None, InputError("stdin", why, expected="a picture"))


def _folder(word: str) -> Iterator[Photo]:
    walk = walk_through(word, flat=False)
    for found in sorted(walk.pictures):
        yield Photo(found.file, found.file)
    if not walk.pictures:
        error = CatalogError(
            word, "no pictures", expected=f"files ending in {' '.join(sorted(SUFFIXES))}"
        )
        yield Photo(word, None, error)


def _answers(
    gallery: Gallery, photos: Sequence[Photo], settings: Settings, fixed: Rule | None
) -> Iterator[Done[Photo, Decision]]:
    by_rule = None
    if fixed is not None:
        by_rule = ByRule(Opened(gallery.store, gallery.embedder, settings), fixed)

    def ask(source: str | Picture) -> Decision:
        if by_rule is None:
            return gallery.identify(source)
        return by_rule.identify(gallery.picture(source))

    def one(photo: Photo) -> Decision:
        if photo.source is None:
            assert photo.error is not None  # noqa: S101  a photo has a source or an error
            raise photo.error
        if isinstance(photo.source, bytes):
            picture = decode(photo.source, name=photo.name, limits=settings.image)
            return ask(picture)
        return ask(photo.source)

    return pooled(photos, one, settings.index.callers)


def _told(answers: Iterator[Done[Photo, Decision]]) -> Iterator[Done[Photo, Decision]]:
    """Each answer as a JSON line as soon as it is there."""
    for one in answers:
        if one.value is None:
            console.json_line({"photo": one.source.name, "error": str(one.error)})
        else:
            console.json_line(wording.decision_data(one.source.name, one.value))
        yield one


def _show(done: Sequence[Done[Photo, Decision]], candidates: bool) -> None:
    """A row a photo with the shortest reason; all reasons below where there is one answer."""
    answered = [one.value for one in done if one.value is not None]
    rows = []
    for one in done:
        decision, name = one.value, one.source.name
        if decision is None:
            rows.append((name, "(failed)", "-", "-", wording.because(one.error, name)))
            continue
        sure = in_percent(decision.confidence if decision.known else None)
        margin = wording.number(decision.margin, ".3f")
        rows.append((name, wording.answer(decision), sure, margin, wording.shortly(decision)))
    console.table(("photo", "answer", "confidence", "margin", "why"), rows)
    if len(answered) == 1:
        _show_all(answered[0])
    else:
        for whom, reason in wording.shared(answered):
            console.prose(f"{whom}: {reason}.")
    for one in done if candidates else ():
        if one.value is not None:
            _show_candidates(one.source.name, one.value)
    failed = len(done) - len(answered)
    if failed:
        console.note(f"{failed} of {console.counted(len(done), 'input')} failed.")


def _show_all(decision: Decision) -> None:
    """Every reason that the table leaves out, and what a table of references told of the item."""
    for reason in decision.reasons:
        if reason != wording.shortly(decision):
            console.prose(f"  {reason}")
    if decision.known:
        for name, value in decision.candidates[0].reference.metadata.items():
            if name not in INNER:
                console.line(f"  {name}: {value}")


def _show_candidates(name: str, decision: Decision) -> None:
    console.line()
    console.line(name)
    for place, candidate in enumerate(decision.candidates, 1):
        console.line(
            f"  {place}. {candidate.label}  cosine {candidate.similarity:.3f}  "
            f"{candidate.reference.path}"
        )


def _code(done: Iterable[Done[Photo, Decision]]) -> int:
    failed = known = False
    for one in done:
        failed = failed or one.value is None
        known = known or (one.value is not None and one.value.known)
    if failed:
        return FAILED
    return 0 if known else ALL_UNKNOWN
