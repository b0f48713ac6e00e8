"""The rows of a sweep as a table, and the spread of similarities where it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kenspeckle.cli import console
from kenspeckle.evaluate.sweep.counts import difference
from kenspeckle.evaluate.sweep.ledger import Row

SHOWN = {
    "model": "model",
    "head": "head",
    "mode": "mode",
    "method": "rule",
    "least": "n",
    "refs": "R",
    "threshold": "T",
    "margin": "m",
}
"""Settings that get a column where the rows differ in them; T always has one."""
RATES = ("precision", "recall", "f1")


def show(rows: Sequence[Row], count: str, best: Row | None) -> None:
    """Print `TP FP FN Prec Recall F1` of every row, by our count and, if asked, the former one."""
    if not rows:
        return
    names = [
        name
        for name in SHOWN
        if name == "threshold" or len({row["settings"][name] for row in rows}) > 1
    ]
    counts = ("ours", "legacy") if count == "legacy" else ("ours",)
    told = ["count"] if len(counts) > 1 else []
    head = [*(SHOWN[name] for name in names), *told]
    head += ["TP", "FP", "FN", "Prec", "Recall", "F1", "95 %", "to the first"]
    table = [
        [*_settings(row, names), *([one] if told else []), *_figures(row[one]), gain]
        for row in rows
        for one in counts
        for gain in [_gain(row, rows) if one == "ours" else ""]
    ]
    console.table(head, table)
    _about(rows, count, best)
    for row in rows:
        if "details" in row:
            _details(row, names)


def _settings(row: Row, names: Sequence[str]) -> list[str]:
    cells = []
    for name in names:
        value = row["head"] if name == "head" else row["settings"][name]
        if name == "threshold":
            cells.append(f"{row['threshold']:.3f} fitted" if _fitted(row) else f"{value:g}")
        else:
            cells.append(f"{value:g}" if isinstance(value, float) else str(value or "-"))
    return cells


def _figures(one: dict[str, Any]) -> list[str]:
    shares = ["-" if one[name] is None else f"{100 * one[name]:.1f}" for name in RATES]
    low, high = one.get("f1_low"), one.get("f1_high")
    span = "" if low is None or high is None else f"{100 * low:.1f}–{100 * high:.1f}"
    return [*(str(one[name]) for name in ("tp", "fp", "fn")), *shares, span]


def _fitted(row: Row) -> bool:
    return row["settings"]["threshold"] is None


def _gain(row: Row, rows: Sequence[Row]) -> str:
    """By how much F1 differs from that of the first row of its kind, with its interval."""
    first = next(one for one in rows if _fitted(one) == _fitted(row))
    found = difference(row, first)
    if found is None or first is row:
        return ""
    mean, low, high = found
    span = "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    return f"{100 * mean:+.1f}{span}"


def _about(rows: Sequence[Row], count: str, best: Row | None) -> None:
    first = rows[0]
    unit, settings = first["ours"]["unit"], first["settings"]
    asked = console.counted(first["items"], "item"), console.counted(first["photos"], "picture")
    console.note(
        f"{', '.join(asked)}, {first['ours']['expected']:,} {unit} to find, "
        f"regions {settings['regions']}, seed {settings['seed']}. "
        "Intervals are by drawing items. Rows are compared with the first of their kind, asked or "
        "fitted; a difference whose interval holds 0 is none."
    )
    mute = [r for r in rows if r["settings"]["method"].startswith("multi-ref")]
    if mute and min(row["settings"]["least"] - row["most"] for row in mute) > 0:
        console.note(
            f"No item has more than {console.counted(mute[0]['most'], 'reference')}, and multi-ref "
            f"asks for {mute[0]['settings']['least']}: it names nothing. Add --min-matching-refs 1."
        )
    most = max(row["most"] for row in rows)
    if max(row["settings"]["refs"] for row in rows) > most > 1:
        console.note(f"No item has more than {most} references to enrol: a larger R adds none.")
    for why, number in first["excluded"].items():
        console.note(f"Left out: {number:,} × {why}.")
    if best is not None and not best[count]["f1"]:
        console.note("Nothing is named rightly at any T that was asked for; see the fitted rows.")
    elif best is not None and len(rows) > 1:
        names = [name for name in SHOWN if name in best["settings"]]
        words = ", ".join(
            f"{SHOWN[name]} {value}"
            for name, value in zip(names, _settings(best, names), strict=True)
            if value != "-"
        )
        f1 = best[count]["f1"]
        console.line(
            f"Best F1{' (legacy count)' if count == 'legacy' else ''}: "
            f"{'-' if f1 is None else f'{100 * f1:.1f}'} with {words}"
        )
        console.note(
            "It is read off the pictures it describes. What to expect of new ones is in the "
            "fitted rows: their T comes from other items."
        )


def _details(row: Row, names: Sequence[str]) -> None:
    found = row["details"]
    console.line()
    console.line("Cosines, " + ", ".join(_settings(row, names)))
    numbers = ("least", "most", "mean", "sd", "median", "p10", "p25", "p75", "p90", "share_above")
    head = ("of", "n", "min", "max", "mean", "sd", "median", "P10", "P25", "P75", "P90", "≥ T")
    table = [
        [one["name"], str(one["n"]), *("-" if one[n] is None else f"{one[n]:.3f}" for n in numbers)]
        for one in found["distributions"]
    ]
    console.table(head, table)
    lap = found["overlap"]
    if lap:
        console.line(
            f"Right and wrong overlap from {lap['low']:.3f} to {lap['high']:.3f}, with "
            f"{100 * lap['right_inside']:.0f} % of the right and "
            f"{100 * lap['wrong_inside']:.0f} % of the wrong."
        )
    if best := found.get("best"):
        console.line(
            f"These answers are parted best at {best['threshold']:.3f} (F1 {best['f1']:.3f})."
        )
    for seen in found["regions"]:
        top = ", ".join(f"{label} {value:.3f}" for label, value in seen["top"])
        truth = ", ".join(seen["truth"]) or "nothing with a name"
        console.line(f"{seen['query']} {seen['box']} ({seen['score']:.2f}): {truth}; {top}")
