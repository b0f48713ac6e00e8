"""What every route that analyses pictures does: decode, ask the engines, write the answer, none of
it on the event loop."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from anyio.to_thread import run_sync
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from kenspeckle.flows.analyze import Analysis, analyze
from kenspeckle.flows.classifiers import Classifiers
from kenspeckle.flows.tasks import Result, Task, uses_of
from kenspeckle.image.decode import decode
from kenspeckle.serve.engines import ModelEngines
from kenspeckle.serve.problems import told
from kenspeckle.serve.uses import known_as, may_name, set_for
from kenspeckle.types import Intake
from kenspeckle.vectors.pipeline import StageTimes

if TYPE_CHECKING:
    from fastapi import FastAPI
    from pydantic import BaseModel

    from kenspeckle.serve.scheduler import Scheduler
    from kenspeckle.serve.service import Service

SLOWEST_FIRST = ("caption", "dino", "clip", "person", "face")
"""Uses of models, by how long they take."""


def analysis_of(service: Service) -> Analysis:
    """The engines and classifiers that all routes of the service share."""
    if not isinstance(service.analysis, Analysis):
        asked = service.settings.analyze
        engines = service.analysis or ModelEngines(service.settings, service.models)
        folder = Classifiers(asked.classifiers)
        service.analysis = Analysis(engines, folder, asked.max_caption, told)
    found: Analysis = service.analysis
    return found


def queue_of(service: Service, tasks: Sequence[Task]) -> Scheduler:
    """The scheduler for all tasks about a picture, that of the slowest model they ask for.

    So every model has its queue, and nobody stands behind a model that they do not need.
    """
    asked = [(use, task.model) for task in tasks for use in uses_of(task.type, task.params)]
    use, model = min(asked, key=lambda one: SLOWEST_FIRST.index(one[0]), default=("face", ""))
    if not may_name(use, model):
        model = set_for(use, service.settings.analyze)
    name = known_as(use, model)
    return service.models.scheduler(name, name)


async def analysed(
    service: Service,
    analysis: Analysis,
    data: bytes,
    tasks: Sequence[Task],
    times: StageTimes,
) -> dict[str, Result]:
    """What came of the tasks about one picture. Raises PictureError, ServiceBusy."""
    settings = service.settings
    intake = Intake(rotate=settings.analyze.rotate, alpha="drop", colour="raw")

    return (await looked_at(service, analysis, data, tasks, (intake, times)))[1]


async def looked_at(
    service: Service,
    analysis: Analysis,
    data: bytes,
    tasks: Sequence[Task],
    how: tuple[Intake, StageTimes],
    *,
    crops: bool = True,
) -> tuple[tuple[int, int], dict[str, Result]]:
    """Size of a picture, and what came of the tasks. Raises PictureError, ServiceBusy.

    All of it is one piece of work; when nobody waits for it any more, it ends with the task that
    is being done.
    """
    settings, left = service.settings, threading.Event()
    intake, times = how

    def work() -> tuple[tuple[int, int], dict[str, Result]]:
        with times.stage("processing"):
            picture = decode(data, intake=intake, limits=settings.image)
        found = analyze(picture.image, tasks, analysis, times, crops=crops, stopped=left.is_set)
        return picture.size, found

    queue = queue_of(service, tasks)
    try:
        return await queue.run(work, timeout=settings.serve.timeout)
    finally:
        left.set()


async def encoded(told: Callable[[], Any]) -> Response:
    """An answer as JSON, written by a thread: crops and vectors make it large."""

    def write() -> bytes:
        return json.dumps(told(), allow_nan=False, separators=(",", ":")).encode("ascii")

    return Response(await run_sync(write), media_type="application/json")


def described(app: FastAPI, shapes: Sequence[type[BaseModel]]) -> None:
    """Let the description of an application bring along shapes that its routes only name."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes)
            known = made.setdefault("components", {}).setdefault("schemas", {})
            for shape in shapes:
                own = shape.model_json_schema(ref_template="#/components/schemas/{model}")
                known.update(own.pop("$defs", {}))
                known[shape.__name__] = own
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]
