"""Tasks about pictures of people and scenes: several pictures at once, a model per task."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError

from kenspeckle.errors import KenspeckleError, PictureError, ServiceBusy
from kenspeckle.flows import tasks as flow
from kenspeckle.flows.operations import OPERATIONS, Operation
from kenspeckle.serve import problems
from kenspeckle.serve.access import needs
from kenspeckle.serve.routes.analyze_work import analysis_of, looked_at, queue_of
from kenspeckle.serve.routes.v1 import documented, told
from kenspeckle.serve.routes.v1.received import Sent
from kenspeckle.serve.routes.v1.tasks import BODY, Wanted, wanted
from kenspeckle.serve.routes.v1.working import downloaded, service_of, times_of, unusable
from kenspeckle.serve.schemas import analysis as shapes
from kenspeckle.serve.schemas.base import Problem
from kenspeckle.serve.service import Service
from kenspeckle.types import Intake
from kenspeckle.vectors.pipeline import StageTimes

router = APIRouter(tags=["analyze"], dependencies=[Depends(needs("read"))])


@router.post(
    "/analyze",
    operation_id="analyze",
    summary="Find people and faces, make vectors, classify, describe.",
    response_model=shapes.Analysed,
    responses=documented.problems(400, 415),
    openapi_extra=BODY,
)
async def analyze(request: Request) -> Response:
    """Every task about every picture; a picture or a task that fails, fails alone.

    Pictures are upright by their EXIF rotation, alpha on white, in sRGB, as everywhere below `/v1`.
    """
    start, service, times = time.perf_counter(), service_of(request), times_of(request)
    asked = await wanted(request, service.settings.serve.max_tasks)
    tasks = [_task(one) for one in asked.tasks]
    turns = asyncio.Semaphore(queue_of(service, tasks).callers)

    async def turn(sent: Sent) -> shapes.AnalysedPicture:
        async with turns:
            return await _one(request, service, sent, asked, times)

    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(turn(sent)) for sent in asked.pictures]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    pictures = [one.result() for one in running]
    answer = shapes.Analysed(
        pictures=pictures,
        failed=sum(one.problem is not None for one in pictures),
        elapsed_seconds=round(time.perf_counter() - start, 6),
        stages={name: round(seconds, 6) for name, seconds in times.seconds.items()},
    )
    return await run_sync(told.sent, answer)


@router.get(
    "/analyze/operations",
    operation_id="analyze_operations",
    summary="What can be asked about a picture, and by which models?",
    response_model=shapes.Operations,
    responses=documented.problems(),
)
async def operations(request: Request) -> Response:
    """All operations; one whose model cannot be had is listed with the reason."""
    engines = analysis_of(service_of(request)).engines

    def model(use: str) -> shapes.ModelInUse:
        why = engines.missing(use)
        return shapes.ModelInUse(use=use, name=engines.name(use), available=not why, missing=why)

    def one(operation: Operation) -> shapes.OperationTold:
        return shapes.OperationTold.model_validate(
            {
                "type": operation.name,
                "description": operation.description,
                "targets": list(operation.allowed),
                "default_target": operation.default,
                "models": [model(use) for use in operation.uses],
            }
        )

    return told.sent(
        await run_sync(lambda: shapes.Operations(operations=[one(each) for each in OPERATIONS]))
    )


async def _one(
    request: Request, service: Service, sent: Sent, asked: Wanted, times: StageTimes
) -> shapes.AnalysedPicture:
    """One picture; what is wrong with it alone is its problem."""
    tasks = [_task(one) for one in asked.tasks]
    try:
        data = await downloaded(request, sent, service.settings.image, times)
        size, found = await looked_at(
            service, analysis_of(service), data, tasks, (Intake(), times), crops=asked.crops
        )
        return shapes.AnalysedPicture(
            name=sent.name,
            image_size=list(size),
            results=[_result(one, found[one.id]) for one in asked.tasks],
            problem=None,
        )
    except ServiceBusy:
        raise
    except (KenspeckleError, RequestValidationError) as error:
        if isinstance(error, PictureError):
            unusable(request, sent, error)
        answer = problems.answer(error, request)
        problem = Problem.model_validate_json(bytes(answer.body))
        return shapes.AnalysedPicture(name=sent.name, image_size=None, results=[], problem=problem)


def _task(asked: shapes.Task) -> flow.Task:
    names = ("target", "face_context", "collection_id", "max_length")
    params = {name: getattr(asked, name) for name in names}
    return flow.Task(asked.id, asked.type, params, asked.model or "")


def _result(task: shapes.Task, found: flow.Result) -> shapes.TaskResult:
    data = found.data if found.status == "success" else None
    made: dict[str, Any] = dict.fromkeys(("detections", "vector", "caption", "classification"))
    if found.status == "success":
        if task.type == "detect_bounding_box":
            made["detections"] = [
                shapes.Detected(box=list(one.box), score=one.score, label=one.label)
                for one in found.detections
            ]
        elif task.type == "describe_image":
            made["caption"] = data
        elif task.type == "classify":
            made["classification"] = shapes.Classified(**(data or {}))
        else:
            made["vector"] = data
    return shapes.TaskResult(
        id=task.id,
        status=found.status,
        message=found.message,
        model=found.model,
        box=None if found.box is None else list(found.box),
        crop=found.crop,
        **made,
    )
