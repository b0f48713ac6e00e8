"""The line of the log that each request has: its stages, and what is left of its time."""

from __future__ import annotations

import asyncio
import io
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kenspeckle.serve.logs import Log
from kenspeckle.serve.metrics import Metrics
from kenspeckle.serve.observed import Observed


def line_of(spent: dict[str, float], lasts: float) -> dict[str, Any]:
    """What the log says of a request of so many seconds, in which these stages were counted."""

    async def app(scope: Any, _: Any, send: Any) -> None:
        for name, seconds in spent.items():
            scope["state"]["times"].add(name, seconds)
        await asyncio.sleep(lasts)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def nothing(*_: Any) -> None:
        return None

    stream = io.StringIO()
    log = Log("json", stream)
    service: Any = SimpleNamespace(metrics=Metrics(), log=log, in_flight=0)
    scope = {"type": "http", "method": "POST", "path": "/v1/x"}
    asyncio.run(Observed(app, service)(scope, cast("Any", nothing), nothing))
    log.close()
    return dict(json.loads(stream.getvalue()))


@pytest.mark.parametrize("spent", [{}, {"decode": 0.01, "embedding": 0.02}])
def test_what_no_stage_has_is_the_rest(spent: dict[str, float]) -> None:
    line = line_of(spent, 0.05)
    assert {name: line[name] for name in spent} == spent
    assert line["other"] == pytest.approx(line["total"] - sum(spent.values()))


def test_stages_of_pictures_beside_each_other_may_be_more_than_the_time() -> None:
    line = line_of({"embedding": 60.0}, 0)
    assert (line["embedding"], line["other"]) == (60.0, 0.0)
    assert line["total"] < 60
