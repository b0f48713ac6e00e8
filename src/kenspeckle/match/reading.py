"""What printed codes and printed text say of a candidate. Pure: readings in, evidence out.

**A code** agrees where both sides show one of the same kind and text, disagrees where they show one
kind without a text in common, and abstains otherwise: where a side shows none, none of the other's
kind, or where one kind agrees and another differs.

**Text** abstains unless both sides are read confidently: only lines that are `SURE` count, and of
them there have to be `ENOUGH` letters and digits. The similarity of two readings is taken over the
words of both: each word counts as much as it has characters, times how well the other side's best
word fits it, 1 − edits / length of the longer one; a word with a digit in it fits equal words
only, since another number is another thing. Text agrees from `ALIKE` on, unless each side has such
a word that the other lacks; else it disagrees.

What follows from it is a stated rule, not one fitted on trials; `docs/explanation/second-look.md`
tells why.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from kenspeckle.types import Evidence

SURE = 0.85
"""Lines that the reader is less sure of are passed over."""
ENOUGH = 6
"""Letters and digits that either side has to show."""
ALIKE = 0.8
"""Similarity from which on two texts agree."""
MOST_WORDS = 64
"""Words that are compared of one side, the first ones."""
LONGEST_WORD = 32
"""Characters of a word that are compared."""
SHOWN = 40
"""Characters of a code that a sentence shows."""

NAMES: Mapping[str, str] = {"ean13": "EAN-13", "ean8": "EAN-8", "qr": "QR code"}

Verdict = Literal["agrees", "disagrees", "abstains"]
Codes = Collection[tuple[str, str]]
Lines = Sequence[tuple[str, float]]


def by_codes(ours: Codes, theirs: Codes) -> Evidence:
    """What the codes of a photo and of a candidate's references say.

    >>> by_codes([("ean8", "96385074")], [("ean8", "12345670")]).verdict
    'disagrees'
    """
    equal = set(ours) & set(theirs)
    both = {kind for kind, _ in ours} & {kind for kind, _ in theirs}
    differing = both - {kind for kind, _ in equal}
    verdict: Verdict = "abstains"
    if equal and not differing:
        verdict = "agrees"
    elif differing and not equal:
        verdict = "disagrees"
    numbers = {"photo": len(set(ours)), "reference": len(set(theirs)), "equal": len(equal)}
    return Evidence("code", verdict, {name: float(count) for name, count in numbers.items()})


def by_text(ours: Lines, theirs: Lines) -> Evidence:
    """What the text of a photo and of a reference says.

    >>> by_text([("Vanilla Yogurt", 0.99)], [("VANILLA", 0.98), ("YOGURT", 0.99)]).verdict
    'agrees'
    """
    mine, other = words(ours), words(theirs)
    numbers = {"photo": float(_size(mine)), "reference": float(_size(other))}
    if min(numbers.values()) < ENOUGH:
        return Evidence("text", "abstains", numbers)
    alike = similarity(mine, other)
    missing = _numerals(mine) - _numerals(other), _numerals(other) - _numerals(mine)
    verdict: Verdict = "agrees" if alike >= ALIKE and not all(missing) else "disagrees"
    return Evidence("text", verdict, {**numbers, "similarity": round(alike, 4)})


def words(lines: Lines) -> frozenset[str]:
    """The words that were read surely, without case, accents of compatibility forms, and marks.

    >>> sorted(words([("No.4417, Crème", 0.99), ("smudge", 0.4)]))
    ['4417', 'crème', 'no']
    """
    sure = " ".join(text for text, certain in lines if certain >= SURE)
    folded = unicodedata.normalize("NFKC", sure).casefold()
    split = "".join(letter if letter.isalnum() else " " for letter in folded).split()
    return frozenset(word[:LONGEST_WORD] for word in split[:MOST_WORDS])


def similarity(ours: Collection[str], theirs: Collection[str]) -> float:
    """How alike two collections of words are, 0 … 1 (formula above).

    >>> round(similarity(["vanilla", "yogurt"], ["vanilla", "yoghurt"]), 3)
    0.931
    """
    sides = ((ours, theirs), (theirs, ours))
    total = _size(ours) + _size(theirs)
    fits = sum(
        len(word) * max((_fit(word, one) for one in other), default=0.0)
        for own, other in sides
        for word in sorted(own)
    )
    return fits / total if total else 0.0


def front(verdicts: Mapping[int, Evidence]) -> int | None:
    """The one item whose evidence agrees; None where none does or several do."""
    agreeing = [item for item, one in verdicts.items() if one.verdict == "agrees"]
    return agreeing[0] if len(agreeing) == 1 else None


def shown(code: tuple[str, str]) -> str:
    """A code for people: of what a stranger may have printed, nothing that moves a terminal.

    >>> shown(("ean8", "96385074"))
    'EAN-8 96385074'
    """
    kind, text = code
    short = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return f"{NAMES[kind]} {''.join(c if c.isprintable() else '?' for c in short)}"


def _fit(one: str, other: str) -> float:
    """1 − edits / length of the longer word; words with digits fit wholly or not at all."""
    if one == other:
        return 1.0
    if any(map(str.isdigit, one + other)):
        return 0.0
    return 1 - edits(one, other) / max(len(one), len(other))


def edits(one: str, other: str) -> int:
    """Letters to insert, delete or replace to turn one word into the other (Levenshtein, 1966).

    >>> edits("kitten", "sitting")
    3
    """
    last = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        row = [place]
        for n, its in enumerate(other, 1):
            row.append(min(last[n] + 1, row[-1] + 1, last[n - 1] + (letter != its)))
        last = row
    return last[-1]


def _size(them: Collection[str]) -> int:
    return sum(map(len, them))


def _numerals(them: Collection[str]) -> set[str]:
    """Words with a digit in them."""
    return {word for word in them if any(map(str.isdigit, word))}
