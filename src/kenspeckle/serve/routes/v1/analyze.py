"""Tasks about pictures of people and scenes: several pictures at once, a model per task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile

from kenspeckle.errors import KenspeckleError, ServiceBusy
from kenspeckle.flows import tasks as flow
from kenspeckle.flows.operations import OPERATIONS, Operation
from kenspeckle.serve import problems
from kenspeckle.serve.access import needs
from kenspeckle.serve.routes.analyze_shapes import form_of
from kenspeckle.serve.routes.analyze_work import QUEUE, analysis_of, looked_at
from kenspeckle.serve.routes.v1 import documented, received, told
from kenspeckle.serve.routes.v1.received import Sent
from kenspeckle.serve.routes.v1.working import downloaded, service_of, times_of
from kenspeckle.serve.schemas import analysis as shapes
from kenspeckle.serve.schemas.base import Problem
from kenspeckle.serve.service import Service
from kenspeckle.types import Intake
from kenspeckle.vectors.pipeline import StageTimes

router = APIRouter(tags=["analyze"], dependencies=[Depends(needs("read"))])

_TASKS = TypeAdapter(shapes.Tasks)
_EXAMPLE = {
    "url": "https://example.com/photo.jpg",
    "tasks": [{"id": "face", "type": "detect_bounding_box", "target": "prominent_face"}],
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/AnalysisAsked"},
                "example": _EXAMPLE,
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image", "tasks"],
                    "properties": {
                        "image": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "minItems": 1,
                        },
                        "tasks": {"type": "string", "description": "The tasks as JSON."},
                        "crops": {"type": "string", "enum": ["true", "false"]},
                    },
                }
            },
        },
    }
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request asks."""

    pictures: Sequence[Sent]
    tasks: Sequence[shapes.Task]
    crops: bool


@router.post(
    "/analyze",
    operation_id="analyze",
    summary="Find people and faces, make vectors, classify, describe.",
    response_model=shapes.Analysed,
    responses=documented.problems(400, 415),
    openapi_extra=_BODY,
)
async def analyze(request: Request) -> Response:
    """Every task about every picture; a picture or a task that fails, fails alone.

    Pictures are upright by their EXIF rotation, alpha on white, in sRGB, as everywhere below `/v1`.
    """
    start, service, times = time.perf_counter(), service_of(request), times_of(request)
    asked = await _asked(request, service.settings.serve.max_tasks)
    turns = asyncio.Semaphore(service.models.scheduler(QUEUE, QUEUE).callers)

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
    request: Request, service: Service, sent: Sent, asked: _Asked, times: StageTimes
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
    except KenspeckleError as error:
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


async def _asked(request: Request, most: int) -> _Asked:
    """Pictures and tasks of a request.

    Raises RequestValidationError, HTTPException for too many of them and for other content types.
    """
    if received.content_type(request) == "multipart/form-data":
        asked = await _form(request, most)
    else:
        shape = await received.body(request, shapes.AnalysisAsked)
        pictures = [received.sent(row, place) for place, row in enumerate(shape.rows)]
        asked = _Asked(pictures, shape.tasks, shape.crops)
    if not asked.pictures:
        raise received.wrong(("body", "image"), "no picture; send at least one", "missing")
    if len(asked.pictures) * len(asked.tasks) > most:
        count = f"{len(asked.pictures)} pictures with {len(asked.tasks)} tasks each"
        raise received.wrong(("body",), f"{count}; at most {most} in all", "too_long")
    if len({one.id for one in asked.tasks}) < len(asked.tasks):
        raise received.wrong(("body", "tasks"), "two tasks have one id", "unique")
    return asked


async def _form(request: Request, most: int) -> _Asked:
    form = await form_of(request, files=most + 1)
    try:
        texts = {name: value for name, value in form.multi_items() if isinstance(value, str)}
        files = [one for one in form.getlist(received.FIELD) if isinstance(one, UploadFile)]
        unknown = sorted({*form.keys()} - {received.FIELD, "tasks", "crops"})
        if unknown or received.FIELD in texts or "tasks" not in texts:
            name = unknown[0] if unknown else received.FIELD if "tasks" in texts else "tasks"
            raise received.wrong(("body", name[:100]), "missing, or not expected here", "form")
        if texts.get("crops", "false") not in ("true", "false"):
            raise received.wrong(("body", "crops"), "true or false", "form")
        pictures = [Sent(one.filename or "", await one.read()) for one in files]
    finally:
        await form.close()
    try:
        tasks = _TASKS.validate_json(texts["tasks"])
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError(
            [{**one, "loc": ("body", "tasks", *one["loc"])} for one in faults]
        ) from error
    return _Asked(pictures, tasks, texts.get("crops") == "true")
