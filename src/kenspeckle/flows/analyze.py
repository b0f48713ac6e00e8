"""Tasks about one picture: which operation, on which part of it, and what came of each.

Every task fails alone. What a task cannot have (an unknown operation, nobody there, no classifier)
is `skipped`, with the reason; what goes wrong is `error`; all else is `success`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kenspeckle.errors import InputError, KenspeckleError, MissingExtra, ModelMissing
from kenspeckle.flows.classifiers import Classifiers
from kenspeckle.flows.operations import (
    BY_NAME,
    EMPLOYED,
    FACE,
    PERSON,
    TARGETS,
    VECTORS,
    WHOLE,
    Operation,
)
from kenspeckle.flows.scene import Engines, Scene
from kenspeckle.flows.tasks import (
    Result,
    Skip,
    Task,
    collection_of,
    context_of,
    max_length_of,
    shown,
    target_of,
)
from kenspeckle.match.classify import Linear, sigmoid
from kenspeckle.types import Box
from kenspeckle.vectors.pipeline import StageTimes

if TYPE_CHECKING:
    from PIL.Image import Image

_log = logging.getLogger(__name__)

MOST_CROPS = 128 * 1024 * 1024
"""Characters of all crops in one answer: every task on a part of the picture repeats its crop."""
INTERNAL = "Internal error processing task:"


@dataclass(frozen=True, slots=True)
class Analysis:
    """What tasks need: the models, the classifiers, the longest caption in tokens, and how errors
    are told to whoever asks."""

    engines: Engines
    classifiers: Classifiers
    max_caption: int = 1024
    told: Callable[[KenspeckleError], str] = str

    def about(self, operation: Operation) -> str:
        """What an operation does, the models that do it, and which of them cannot be had."""
        text = f"{operation.description} By {', '.join(map(self.engines.name, operation.uses))}."
        missing = {use: why for use in operation.uses if (why := self.engines.missing(use))}
        some = len(missing) < len(operation.uses)
        for use, why in missing.items():
            what = f"Unavailable for target {use}" if some else "Unavailable"
            text += f" {what}: {why.rstrip('.')}."
        return text


def analyze(
    image: Image,
    tasks: Iterable[Task],
    analysis: Analysis,
    times: StageTimes,
    *,
    crops: bool = True,
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Result]:
    """What came of each task about an RGB picture, by operation id, in the order asked.

    Of several tasks with one id the last counts, in the place of the first; the others are not
    done. `crops=False` leaves out the pictures of the parts, and so does a task whose parameter
    `include_crop` is false. Once `stopped` says so no further task is begun. Never raises for what
    a task asks.
    """
    asked = list(tasks)
    wanted = {task.operation_id: task for task in asked}
    if len(wanted) < len(asked):
        _log.warning("%d of %d tasks share ids", len(asked) - len(wanted), len(asked))
    scene = Scene(image, analysis.engines, times)
    found: dict[str, Result] = {}
    left = MOST_CROPS
    for name, task in wanted.items():
        if stopped():
            found[name] = Result("error", message=f"{INTERNAL} nobody waits for it any more")
            continue
        found[name] = _result(task, scene, analysis, left if crops else None)
        left -= len(found[name].crop or "")
    return found


def failed(tasks: Iterable[Task], message: str) -> dict[str, Result]:
    """The results where the picture itself cannot be had."""
    return {task.operation_id: Result("error", message=message) for task in tasks}


def _with_crop(done: Result, box: Box, scene: Scene, left: int) -> Result:
    """The result with its crop, of which all together are bounded; the first is always sent."""
    crop = scene.png(box)
    if len(crop) > left < MOST_CROPS:
        message = f"{INTERNAL} crops of more than {MOST_CROPS} characters in one answer; ask for "
        return Result("error", message=message + "fewer at once, or set include_crop to false")
    return replace(done, crop=crop)


def _result(task: Task, scene: Scene, analysis: Analysis, left: int | None) -> Result:
    """What came of one task; `left` characters may be spent on its crop, None: it is not wanted."""
    try:
        done = _done(task, scene, analysis)
        if left is None or done.box is None or task.params.get("include_crop") is False:
            return done
        return _with_crop(done, done.box, scene, left)
    except Skip as error:
        return Result("skipped", message=str(error))
    except (InputError, ModelMissing, MissingExtra) as error:
        return Result("skipped", message=analysis.told(error))
    except KenspeckleError as error:
        _log.warning("a task of type %r failed: %s", task.type[:80], error)
        return Result("error", message=f"{INTERNAL} {analysis.told(error)}")
    except Exception as error:  # whatever a model makes of a picture; the others go on
        _log.exception("a task of type %r failed", task.type[:80])
        return Result("error", message=f"{INTERNAL} {type(error).__name__}")


def _done(task: Task, scene: Scene, analysis: Analysis) -> Result:
    """The checks that all operations share, in their order, then the operation itself."""
    operation = BY_NAME.get(task.type)
    if operation is None:
        raise Skip(f"Unsupported operation type {shown(task.type)}; expected {', '.join(BY_NAME)}")
    target = target_of(task.params, operation)
    context = _context(task.params, scene) if target == FACE else WHOLE
    if operation.name == "detect_bounding_box":
        return _detected(task, scene, target, context)
    if operation.name == "classify":
        return _classified(task, scene, analysis.classifiers, (target, context))
    if operation.name == "describe_image":
        most = max_length_of(task.params, analysis.max_caption)
        box = _part(task, scene, target, context)
        text = scene.caption(box or scene.whole, most, task.model)
        return Result("success", text, box, model=_named(scene, task, "caption"))
    box, use = _part(task, scene, target, context), VECTORS[operation.name]
    row = scene.vector(use, box or scene.whole, task.model)
    return Result("success", row.tolist(), box, model=_named(scene, task, use))


def _detected(task: Task, scene: Scene, target: str, context: str) -> Result:
    use = EMPLOYED[target]
    if use == "person":
        found = scene.people(task.model)
    else:
        found = scene.faces(inside_person=context == PERSON, model=task.model)
    return Result(
        "success",
        list(found[0].box) if found else None,
        detections=tuple(found),
        model=_named(scene, task, use),
    )


def _named(scene: Scene, task: Task, use: str) -> str:
    return task.model or scene.engines.name(use)


def _part(task: Task, scene: Scene, target: str, context: str) -> Box | None:
    """The box that a task is about, None for the whole picture, which it is where nobody was found
    too. Raises Skip where there is no face."""
    if target == WHOLE:
        return None
    face = target == FACE
    found = scene.faces(inside_person=context == PERSON) if face else scene.people()
    if face and not found:
        raise Skip(f"No prominent face found for operation_id '{task.operation_id}'")
    return found[0].box if found else None


def _classified(
    task: Task, scene: Scene, classifiers: Classifiers, asked: tuple[str, str]
) -> Result:
    """By what the classifier was trained on where that is written down, else CLIP as asked."""
    collection = collection_of(task.params)
    found = classifiers.find(collection)
    if found is None:
        raise Skip(f"Classifier not found for collection_id {collection}")
    target, context = (found.region, _context({}, scene)) if found.region else asked
    if target not in TARGETS:
        raise Skip(f"the classifier of collection_id {collection} names no part of a picture")
    box = _part(task, scene, target, context)
    uses = _uses(found, collection)
    row = np.concatenate([scene.vector(use, box or scene.whole) for use in uses])
    with scene.times.stage("classification"):
        score = found.score(row, f"classifier of collection_id {collection}")
    data = {"is_in_collection": score > 0, "probability": sigmoid(score)}
    return Result("success", data, box, model="+".join(map(scene.engines.name, uses)))


def _context(params: Mapping[str, Any], scene: Scene) -> str:
    return context_of(params, people=not scene.engines.missing("person"))


def _uses(classifier: Linear, collection: int) -> list[str]:
    """The engines whose vectors a classifier reads, one behind the other."""
    names = classifier.vectors.split("+") if classifier.vectors else ["embed_clip_vit_b_32"]
    uses = [VECTORS[name.strip()] for name in names if name.strip() in VECTORS]
    if len(uses) < len(names):
        raise Skip(
            f"the classifier of collection_id {collection} was trained on "
            f"{shown(classifier.vectors)}; vectors here are {', '.join(VECTORS)}"
        )
    return uses
