"""Photos that are the frames of one camera: they lead to events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query

from kenspeckle.flows.identify import Answer
from kenspeckle.serve.glances import glances
from kenspeckle.serve.routes.v1.working import At, asker_of
from kenspeckle.serve.streams import LATEST, LONGEST_NAME


@dataclass(frozen=True, slots=True)
class Frame:
    """Which camera a photo is a frame of, if it is one."""

    stream: Annotated[
        str,
        Query(
            max_length=LONGEST_NAME,
            examples=["door"],
            description="The camera that this photo is a frame of, by any name: what appears "
            "before it and goes is told at `/v1/events`. Empty: it is none.",
        ),
    ] = ""
    at: Annotated[
        float | None,
        Query(
            allow_inf_nan=False,
            ge=-LATEST,
            le=LATEST,
            examples=[12.48],
            description="The time of the frame, seconds in the stream's own count; now by default. "
            "A frame that comes later than one with a later time is answered and not counted; one "
            "that lies more than a minute back begins a new count.",
        ),
    ] = None

    def admit(self, here: At) -> None:
        """Refuse it before its picture is looked at. Raises InputError, ServiceBusy."""
        if self.stream:
            asker, by = asker_of(here.request), here.request.state.principal
            here.service.streams.admit(here.name, self.stream, self.at, asker=asker, by=by)

    def seen(self, here: At, answer: Answer) -> None:
        """Tell of what the frame leads to. Raises as `admit`."""
        if self.stream:
            asker, by = asker_of(here.request), here.request.state.principal
            seen = glances(answer)
            here.service.streams.see(here.name, self.stream, seen, self.at, asker=asker, by=by)
