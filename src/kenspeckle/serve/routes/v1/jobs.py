"""Work that takes longer than a request: indexing, calibrating, many photos at once."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, HTTPException, Path, Query, Request
from starlette.responses import Response

from kenspeckle.errors import NotEnrolled
from kenspeckle.serve import work
from kenspeckle.serve.access import Principal, may, needs
from kenspeckle.serve.events import Event
from kenspeckle.serve.jobs import Job
from kenspeckle.serve.routes.v1 import cursor as marks
from kenspeckle.serve.routes.v1 import documented, told
from kenspeckle.serve.routes.v1.bodies import JsonRoute
from kenspeckle.serve.routes.v1.documented import GalleryName
from kenspeckle.serve.routes.v1.stream import KIND, LastId, Stream
from kenspeckle.serve.routes.v1.working import asker_of, at, listens, service_of
from kenspeckle.serve.schemas import work as shapes
from kenspeckle.serve.schemas.base import Page

router = APIRouter(tags=["jobs"], route_class=JsonRoute)

FOLLOW = ("read", "write")
"""One of these has whoever may start a job of some kind, and may follow and stop it then."""

Reader = Annotated[Principal, Depends(needs("read"))]
Starter = Annotated[Principal, Depends(needs(*FOLLOW))]
JobId = Annotated[
    str, Path(description="The id of a job.", max_length=64, examples=["9f2c51d07ab34e18"])
]
EXAMPLES = {
    "index": {"summary": "The gallery's own folder again", "value": {"kind": "index"}},
    "calibrate": {"summary": "Quickly", "value": {"kind": "calibrate", "seconds": 20}},
    "identify": {
        "summary": "Photos by address",
        "value": {"kind": "identify", "urls": ["https://example.com/photo.jpg"]},
    },
}
STEPS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One event for each state and, now and then, for progress. It ends when "
        "the job has ended.",
        "content": {KIND: {"schema": {"type": "string"}}},
    }
}


@router.post(
    "/galleries/{gallery}/jobs",
    operation_id="start_job",
    summary="Start long work.",
    status_code=202,
    response_model=shapes.Job,
    responses=documented.problems(400),
)
async def start(
    request: Request,
    gallery: GalleryName,
    wish: Annotated[shapes.Wish, Body(openapi_examples=EXAMPLES)],
    starter: Starter,
) -> Response:
    """It goes on when the request has ended; look for it at the address in `Location`.

    Indexing and calibrating need the scope `write`, photos `read`; any path on the machine of the
    service needs `admin`. Jobs that write to one gallery come one after another.
    """
    here = at(request, gallery)
    writes = wish.kind != "identify"
    may(starter, "write" if writes else "read")
    if work.places(wish):
        may(starter, "admin")
    turn = work.in_turn(here.service, here.gallery, asyncio.get_running_loop())
    answers: work.Answers = []
    job = here.service.jobs.start(
        wish.kind,
        work.work_of(here.gallery, wish, turn, answers),
        gallery=here.name,
        owner=starter.id,
        asker=asker_of(request),
        lane=f"write {here.name}" if writes else "identify",
        answers=answers,
    )
    answer = told.sent(shown(job), 202)
    answer.headers["location"] = f"{request.scope.get('root_path', '')}/jobs/{job.id}"
    return answer


@router.get(
    "/jobs",
    operation_id="jobs",
    summary="The jobs that are remembered.",
    response_model=Page[shapes.Job],
    responses=documented.problems(400),
)
async def listed(
    request: Request,
    starter: Starter,
    gallery: Annotated[str | None, Query(max_length=255, description="Of this one only.")] = None,
    state: Annotated[shapes.State | None, Query(description="In this state only.")] = None,
    limit: documented.Limit = 100,
    cursor: documented.Cursor = None,
) -> Response:
    """The newest first. Who may not do everything sees their own."""
    after = marks.read(cursor, "jobs", "", int) if cursor else None
    rows = [
        job
        for job in service_of(request).jobs.list()
        if (after is None or job.number < after)
        and visible(job, starter)
        and gallery in (None, job.gallery)
        and state in (None, job.state)
    ]
    more = marks.written(rows[limit - 1].number, "jobs", "") if len(rows) > limit else None
    return told.sent(Page(items=[shown(job) for job in rows[:limit]], next=more))


@router.get(
    "/jobs/{job}",
    operation_id="job",
    summary="How far a job is.",
    response_model=shapes.Job,
    responses=documented.problems(),
)
async def one(request: Request, job: JobId, starter: Starter) -> Response:
    """Jobs are remembered for a while after they have ended, until the service stops."""
    return told.sent(shown(found(request, job, starter)))


@router.delete(
    "/jobs/{job}",
    operation_id="cancel_job",
    summary="Ask a job to stop.",
    response_model=shapes.Job,
    responses=documented.problems(),
)
async def cancel(request: Request, job: JobId, starter: Starter) -> Response:
    """One that waits never begins, one that runs stops at its next step; what it has stored so far
    stays. One that has ended stays as it is."""
    known = found(request, job, starter)
    return told.sent(shown(service_of(request).jobs.cancel(known.id)))


@router.get(
    "/jobs/{job}/answers",
    operation_id="job_answers",
    summary="What each photo of a job showed.",
    response_model=shapes.PhotoAnswers,
    responses=documented.problems(400),
)
async def answers(
    request: Request,
    job: JobId,
    reader: Reader,
    limit: documented.Limit = 100,
    cursor: documented.Cursor = None,
) -> Response:
    """In the order of the photos, those that there are so far, and all of them once the job is
    done. What a job said before it failed or was cancelled stays. Other work has none.

    While it may say more, `next` is no null: it brings what comes after this page, which may be
    nothing yet. Wait a little then.
    """
    known = found(request, job, reader)
    first = marks.read(cursor, "answers", known.id, int) if cursor else 0
    rows = list(known.answers[first : first + limit + 1])
    items = [shapes.PhotoAnswer.model_validate(row) for row in rows[:limit]]
    more = len(rows) > limit or (known.kind == "identify" and not known.ended)
    mark = marks.written(first + len(items), "answers", known.id) if more else None
    return told.sent(shapes.PhotoAnswers(items=items, next=mark, state=known.state))


@router.get(
    "/jobs/{job}/events",
    operation_id="job_events",
    summary="How far a job is, as it goes on.",
    response_class=Response,
    responses={**documented.problems(), **STEPS},
)
async def steps(request: Request, job: JobId, starter: Starter, last_id: LastId = "") -> Response:
    """Who begins to listen hears first how it stands."""
    known = found(request, job, starter)
    bus = service_of(request).jobs.bus
    listener = bus.subscribe(
        last_id, lambda event: event.subject == known.id, asker=asker_of(request)
    )
    now = found(request, job, starter)
    if now.ended and not last_id:
        listener.offer(Event(now.state, {"job": now}, now.gallery, now.id))
    return Stream(listener, _step, listens(request, FOLLOW), ended)


def found(request: Request, identifier: str, reader: Principal) -> Job:
    """The job of that id, if it is one that this reader may see. HTTPException 404."""
    try:
        job = service_of(request).jobs.get(identifier)
    except NotEnrolled:
        job = None
    if job is None or not visible(job, reader):
        raise HTTPException(404, f"job {identifier!r}: not known here. See GET jobs")
    return job


def visible(job: Job, reader: Principal) -> bool:
    """Whether a job is the reader's own, or the reader may see all."""
    return "admin" in reader.scopes or job.owner == reader.id


def shown(job: Job) -> shapes.Job:
    """A job as clients are told of it."""
    return shapes.Job(
        id=job.id,
        kind=job.kind,
        gallery=job.gallery,
        state=job.state,
        created=job.created,
        started=job.started,
        finished=job.finished,
        done=job.done,
        total=job.total,
        at=job.at,
        cancelling=job.cancelling,
        error=job.error,
        result=dict(job.result),
    )


def ended(event: Event) -> bool:
    """Whether an event is the last one of its job."""
    job = event.data.get("job")
    return isinstance(job, Job) and job.ended


def _step(event: Event) -> dict[str, Any]:
    job: Job = event.data["job"]
    return shown(job).model_dump()
