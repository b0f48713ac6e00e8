"""What a task asks and what comes of it, and how its parameters are read.

Whatever a client may send in a parameter is either taken or Skip, which says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from kenspeckle.errors import KenspeckleError
from kenspeckle.flows.operations import BY_NAME, EMPLOYED, PERSON, WHOLE, Operation
from kenspeckle.regions.detect import Detection
from kenspeckle.types import Box

USUAL_CAPTION = 50
"""Tokens of a caption where nobody says how many."""
CONTEXTS = (PERSON, WHOLE)
"""Where a face is looked for: inside the surest person, or in the whole picture."""


class Skip(Exception):
    """A task cannot be done, and that is no fault of ours. The text says why."""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that is asked. `model` names another model than the one set, empty: that one."""

    operation_id: str
    type: str
    params: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a task.

    data
        Numbers of a box or a vector, a caption, a classification; None where nothing was found.
    box
        The part of the picture that was used, in pixels; None for the whole.
    crop
        That part as a PNG in base64.
    message
        Why it was skipped or failed.
    detections
        Everything that a detection found, the surest first.
    model
        What made it; several are joined by `+`.
    """

    status: Literal["success", "error", "skipped"]
    data: Any = None
    box: Box | None = None
    crop: str | None = None
    message: str | None = None
    detections: tuple[Detection, ...] = ()
    model: str = ""


def uses_of(kind: str, params: Mapping[str, Any]) -> tuple[str, ...]:
    """The engines that an operation may ask, besides those that find its part of the picture; none
    for an operation or a target that there is not."""
    operation = BY_NAME.get(kind)
    if operation is None:
        return ()
    if operation.name != "detect_bounding_box":
        return operation.uses
    target = params.get("target") or operation.default
    return (EMPLOYED[target],) if isinstance(target, str) and target in EMPLOYED else ()


def target_of(params: Mapping[str, Any], operation: Operation) -> str:
    """The part of the picture that is meant: the operation's own where nobody says."""
    target = params.get("target")
    target = operation.default if target is None else target
    if not isinstance(target, str) or target not in operation.allowed:
        raise Skip(
            f"Unsupported target {shown(target)} for {operation.name}; "
            f"allowed are {', '.join(operation.allowed)}"
        )
    return target


def context_of(params: Mapping[str, Any], *, people: bool) -> str:
    """Where to look for the face: where nobody says, inside the surest person, or everywhere when
    `people` says that there is no detector of them."""
    context = params.get("face_context")
    if context is None:
        return PERSON if people else WHOLE
    if not isinstance(context, str) or context not in CONTEXTS:
        raise Skip(f"Unsupported face_context {shown(context)}; allowed are {', '.join(CONTEXTS)}")
    return context


def collection_of(params: Mapping[str, Any]) -> int:
    """The collection asked about, by the rules of `int()`."""
    value = params.get("collection_id")
    if value is None:
        raise Skip("collection_id is missing; classify needs one")
    if not isinstance(value, str | int | float):
        raise KenspeckleError("collection_id", shown(value), expected="a whole number")
    try:
        number = int(value)
    except (ValueError, OverflowError) as error:
        raise Skip(f"collection_id {shown(value)} is no whole number") from error
    if abs(number) >= 10**18:
        raise Skip(f"Classifier not found for collection_id {shown(str(value))}")
    return number


def max_length_of(params: Mapping[str, Any], most: int) -> int:
    """The longest caption, in tokens."""
    value = params.get("max_length")
    if value is None:
        return USUAL_CAPTION
    if type(value) is not int or not 0 < value <= most:
        raise Skip(f"max_length {shown(value)} is no whole number from 1 to {most}")
    return value


def shown(value: Any) -> str:
    """A value as a message may show it: what it is, for those that may be long or deep."""
    if isinstance(value, str):
        return repr(value if len(value) <= 80 else value[:80] + "…")
    if isinstance(value, int | float):
        return repr(value)[:40]
    return "a list" if isinstance(value, list) else "an object"
