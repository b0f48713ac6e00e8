"""Options that ask for a fixed rule in place of the calibrated decision."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kenspeckle.errors import InputError
from kenspeckle.match.methods import METHODS, Method, Rule

Named = Annotated[
    str | None,
    typer.Option(
        "--method",
        "--matching-method",
        metavar="NAME",
        help=f"Decide by a fixed rule, which promises nothing: {', '.join(METHODS)}.",
        show_default=False,
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold", metavar="T", help="Least score of the rule; 0.7.", show_default=False
    ),
]
Margin = Annotated[
    float | None,
    typer.Option("--margin", metavar="M", help="Least lead of the rule; 0.05.", show_default=False),
]
Least = Annotated[
    int | None,
    typer.Option(
        "--min-matching-refs",
        metavar="N",
        help="References at T or above that multi-ref asks for; 1.",
        show_default=False,
    ),
]
Most = Annotated[
    bool | None,
    typer.Option(
        "--use-max-similarity",
        help="multi-ref takes the best reference, not the mean of all.",
        show_default=False,
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k", metavar="K", help="References that top-k averages; 3.", show_default=False
    ),
]
OutlierFree = Annotated[
    bool | None,
    typer.Option("--outlier-free", help="centroid leaves odd references out.", show_default=False),
]
Pool = Annotated[
    str | None,
    typer.Option(
        "--rule",
        metavar="ours|legacy",
        help="multi-ref: margin to the best other item, or (legacy) to those with N alone.",
        show_default=False,
    ),
]

OPTION_OF = {
    "threshold": "--threshold",
    "margin": "--margin",
    "least": "--min-matching-refs",
    "most": "--use-max-similarity",
    "top": "--top-k",
    "outlier_free": "--outlier-free",
    "pool": "--rule",
}
"""The option of each value besides the method."""
OWNERS: dict[str, tuple[Method, ...]] = {
    "margin": tuple(m for m in METHODS if m != "simple"),
    "least": ("multi-ref",),
    "most": ("multi-ref",),
    "top": ("top-k",),
    "outlier_free": ("centroid",),
}
"""Values that only some methods look at."""


def fixed_rule(method: str | None, given: dict[str, Any]) -> Rule | None:
    """The rule asked for, None for the calibrated decision; `given` by the names above.

    Raises typer's BadParameter for values without a method, values that the method does not look
    at, and values that a rule cannot have.
    """
    said = {name: value for name, value in given.items() if value is not None}
    if method is None:
        if said:
            raise typer.BadParameter(
                "it belongs to a fixed rule; name one with --method",
                param_hint=OPTION_OF[next(iter(said))],
            )
        return None
    if method not in METHODS:
        raise typer.BadParameter(
            f"{method!r}; expected one of {', '.join(METHODS)}", param_hint="--method"
        )
    for name in said:
        if name in OWNERS and method not in OWNERS[name]:
            raise typer.BadParameter(
                f"{method} does not look at it; {OWNERS[name][0]} does",
                param_hint=OPTION_OF[name],
            )
    if method == "cohort" and "threshold" not in said:
        raise typer.BadParameter(
            "cohort has no usual threshold: name one", param_hint="--threshold"
        )
    if said.get("pool", "ours") not in ("ours", "legacy"):
        raise typer.BadParameter(f"{said['pool']!r}; expected ours or legacy", param_hint="--rule")
    values = {name: said[name] for name in ("threshold", "margin", "least", "top") if name in said}
    try:
        return Rule(
            method,
            **values,
            pool="max" if said.get("most") else "mean",
            outlier_free=bool(said.get("outlier_free")),
            legacy=said.get("pool") == "legacy",
        )
    except InputError as error:
        wrong = {"least references": "least"}.get(error.thing, error.thing)
        raise typer.BadParameter(
            f"{error.found}; expected {error.expected}", param_hint=OPTION_OF.get(wrong)
        ) from error
