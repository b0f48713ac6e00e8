"""The page of the demo: query, answer and reference side by side, in one file without links out."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from statistics import median

from PIL import Image

from kenspeckle.cli.demo_scene import STRENGTH, Answer, Verdict
from kenspeckle.match.promise import VIEWS, percent, promised, shortfall
from kenspeckle.types import Calibration, Decision, Item, Reference, in_percent

SHOWN, SMALL = 300, 132
"""Longest sides in pixels of pictures on the page."""

BADGE: dict[Verdict, str] = {
    "right": "✓ right",
    "unknown": "? missed",
    "wrong": "✗ wrong",
    "refused": "✓ stranger refused",
    "named": "✗ stranger named",
    "unreadable": "✓ named as unreadable",
}

SECTIONS = (
    (
        "Real photos of enrolled things",
        "Taken with a phone in grocery shops. Each thing was enrolled with two other photos; they "
        "come from the other part of the collection.",
        "real",
        True,
    ),
    (
        "Real photos of strangers",
        "Groceries and coins that are not in the gallery: the right answer is “none of these”. "
        "The nearest reference is shown faded.",
        "real",
        False,
    ),
    (
        "Prints, photographed by rendering",
        "Drawn symbols on cards, enrolled with one picture each. No camera was involved: the "
        f"photos are computed, with {STRENGTH:.0%} of the distortion that the rule was fitted on.",
        "rendered",
        True,
    ),
    ("Prints that are strangers", "Other cards of the same make.", "rendered", False),
    (
        "A broken file",
        "A picture fails alone; the others are answered all the same.",
        "broken",
        False,
    ),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page tells beside the answers. Seconds: until indexed, and altogether."""

    folder: Path
    items: Sequence[Item]
    references: Sequence[Reference]
    calibration: Calibration | None
    seconds: tuple[float, float]
    licences: str


def page(answers: Sequence[Answer], shown: Shown) -> str:
    """The whole page as HTML. Pictures are data URIs; all text is escaped."""
    style = (resources.files("kenspeckle.cli") / "demo_page.css").read_text(encoding="utf-8")
    common = shared(answers)
    body = [_head(answers, shown), _promise(shown.calibration)]
    for title, about, made, known in SECTIONS:
        chosen = [a for a in answers if a.shot.made == made and bool(a.shot.truth) == known]
        if chosen:
            cards = "".join(_shot(answer, shown.folder, common) for answer in chosen)
            body.append(f'<h2>{title}</h2><p>{about}</p><div class="grid">{cards}</div>')
    body += [_shelf(shown), _notes(shown)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Kenspeckle: the demo</title><style>{style}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def uri(path: Path, side: int) -> str:
    """A picture as a small JPEG in a data URI; empty when it cannot be read."""
    file = io.BytesIO()
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except OSError:
        return ""
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    small.save(file, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def usual_seconds(answers: Sequence[Answer]) -> float:
    """Median seconds of an answer; pictures that could not be read are left out."""
    return median([answer.seconds for answer in answers if answer.decision] or [0.0])


def _head(answers: Sequence[Answer], shown: Shown) -> str:
    tiles = [
        *_counts(answers, "real", "photos"),
        *_counts(answers, "rendered", "rendered photos"),
        _tile(
            f"{1000 * usual_seconds(answers):.0f}",
            "ms",
            f"for an answer, in the middle; {shown.seconds[0]:.1f} s to index "
            f"{len(shown.references)} pictures and fit the rule",
        ),
    ]
    return (
        '<header><p class="name">kenspeckle</p>'
        "<h1>Which of your things is it, or none of them, and why</h1>"
        f'<p class="lead">{len(shown.items)} things were enrolled with one or two pictures each, '
        f"then {len(answers)} other pictures were asked about. This page shows every one of them, "
        "the wrong answers too. It was made on this machine, and nothing was sent anywhere.</p>"
        f'<div class="tiles">{"".join(tiles)}</div></header>'
    )


def _counts(answers: Sequence[Answer], made: str, noun: str) -> Iterable[str]:
    """Tiles of one make: enrolled things named, strangers refused."""

    def count(*verdicts: Verdict) -> int:
        return sum(a.verdict in verdicts for a in answers if a.shot.made == made)

    missed, wrong = count("unknown"), count("wrong")
    about = f"{noun} of enrolled things named rightly; {missed} unknown, {wrong} wrong"
    yield _tile(str(count("right")), f"of {count('right', 'unknown', 'wrong')}", about)
    refused = count("refused")
    yield _tile(str(refused), f"of {count('refused', 'named')}", f"{noun} of strangers refused")


def _tile(number: str, unit: str, about: str) -> str:
    return (
        f'<div class="tile"><b>{escape(number)} <small>{escape(unit)}</small></b>'
        f"<span>{escape(about)}</span></div>"
    )


def _promise(calibration: Calibration | None) -> str:
    if calibration is None:
        return '<div class="promise"><p>No rule was fitted, so nothing is promised.</p></div>'
    lines = [
        "<p>Some things were left out of the gallery on purpose, and some pictures have nothing to "
        "do with it: such a thing is a <b>stranger</b>, and the right answer to it is “none of "
        "these”. How often does a stranger get a name all the same?</p>",
        *(
            f"<p>{escape(_sentence(promised(promise, VIEWS in calibration.notes)))}</p>"
            for promise in calibration.promises
        ),
    ]
    if not calibration.promises:
        lines.append("<p>The trials support no promise about strangers.</p>")
    score = calibration.score
    lead = ": the lead of the nearest thing over the next one" if score == "margin" else ""
    short = shortfall(calibration) or f"asked for were {percent(calibration.fpir)}"
    told = [note for note in calibration.notes if not note.startswith("strangers ")]
    soft = (
        f"Each answer tells its {score}{lead}. Above {calibration.threshold:.3f} a photo gets a "
        f"name; this run chose that number, by asking itself about its {calibration.items} things. "
        f"{' '.join(map(_sentence, (short, *told)))} A promise holds for the strangers that it "
        "names. Look-alikes from the same shelf are another kind, and harder."
    )
    soft = escape(soft)
    return f'<div class="promise">{"".join(lines)}<p class="soft">{soft}</p></div>'


def _sentence(note: str) -> str:
    return f"{note[:1].upper()}{note[1:]}."


def _shot(answer: Answer, folder: Path, common: frozenset[str]) -> str:
    shot, decision = answer.shot, answer.decision
    photo = _figure(uri(shot.path, SHOWN), "asked", shot.shows)
    badges = f'<span class="badge verdict">{BADGE[answer.verdict]}</span>'
    badges += f'<span class="badge">{shot.made}</span>'
    if decision is None:
        said, meter, other = "Cannot be read", "", _figure("", "", "")
        reasons = [answer.error.replace(str(shot.path), shot.path.name)]
    else:
        said = decision.label if decision.known else "None of these"
        meter, reasons = _meter(decision), [one for one in decision.reasons if one not in common]
        other = _reference(decision, folder)
    why = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return (
        f'<article class="shot {answer.verdict}"><div class="pair">{photo}{other}</div>'
        f'<div class="said"><div class="badges">{badges}</div><h3>{escape(said)}</h3>'
        f'{meter}<ul class="why">{why}</ul></div></article>'
    )


def shared(answers: Sequence[Answer]) -> frozenset[str]:
    """Reasons that all photos share (the promise behind the threshold): told once, above."""
    told = [frozenset(answer.decision.reasons) for answer in answers if answer.decision]
    return frozenset.intersection(*told) if len(told) > 1 else frozenset()


def _reference(decision: Decision, folder: Path) -> str:
    if not decision.candidates:
        return _figure("", "", "")
    best = decision.candidates[0]
    source = uri(folder / "references" / best.reference.path, SHOWN)
    if decision.known:
        return _figure(source, "its reference", best.label)
    return _figure(source, "nearest", best.label, "far")


def _figure(source: str, what: str, name: str, kind: str = "") -> str:
    if not source:
        return '<figure class="none" aria-hidden="true">✕</figure>'
    caption = f"<figcaption><small>{escape(what)}</small> {escape(name)}</figcaption>"
    alt = escape(f"{what}: {name}")
    return f'<figure class="{kind}"><img src="{source}" alt="{alt}">{caption}</figure>'


def _meter(decision: Decision) -> str:
    if decision.confidence is None or not decision.candidates:
        return ""
    text = f"confidence {in_percent(decision.confidence)}"
    if not decision.known:
        text += f" that it is {decision.candidates[0].label}: not enough"
    width = f"{decision.confidence:.0%}"
    return (
        f'<div class="meter"><div class="bar"><span style="width:{width}"></span></div>'
        f"<span>{escape(text)}</span></div>"
    )


def _shelf(shown: Shown) -> str:
    things = []
    for item in shown.items:
        mine = [ref for ref in shown.references if ref.key == item.key]
        paths = [shown.folder / "references" / ref.path for ref in mine]
        pictures = "".join(f'<img src="{uri(path, SMALL)}" alt="">' for path in paths)
        count = "1 picture" if len(mine) == 1 else f"{len(mine)} pictures"
        things.append(
            f'<div><div class="two">{pictures}</div>'
            f"<p>{escape(item.label)}<br><small>{count}</small></p></div>"
        )
    return (
        "<h2>What was enrolled</h2><p>This is all that the program has seen of these things.</p>"
        f'<div class="shelf">{"".join(things)}</div>'
    )


def _notes(shown: Shown) -> str:
    return (
        '<h2>How to read this</h2><ul class="notes">'
        "<li>The things were chosen because this model can tell them apart, judged on <b>other</b> "
        "photos than those shown. On all 81 kinds of the collection it names far fewer rightly, so "
        "take this page for a look at the answers, not for a measurement.</li>"
        "<li>The strangers were drawn by lot among the kinds that were left.</li>"
        "<li>The model's last layer was learned from pictures among which were training photos of "
        "this grocery collection: the references may be among them, the photos asked are not.</li>"
        "<li>Confidence is the fitted chance that the name is right. It comes from distorted "
        "copies of the references and unrelated pictures, not from shelves.</li></ul>"
        f"<details><summary>Where the pictures come from, licences, how they were chosen</summary>"
        f"<pre>{escape(shown.licences)}</pre></details>"
    )
