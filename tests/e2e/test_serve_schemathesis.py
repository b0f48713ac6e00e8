"""Every operation of every described surface, asked with what its description allows and forbids.

The requests are generated from the OpenAPI documents. An answer has to be one that the document
names, of the shape it gives; a status of 500 and above is 503 with a time to wait, or a fault.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from drawing import draw_folder
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import ImageSettings, ModelSettings, ServeSettings, Settings

schemathesis = pytest.importorskip("schemathesis")

EXAMPLES = int(os.environ.get("KENSPECKLE_TEST_EXAMPLES", "12"))
"""Requests of each kind for each operation; more look longer."""

SURFACES = ("v1", "falcon", "analyze")
ENDLESS = ("/events", "/galleries/{gallery}/events")
"""Streams that end with the client alone; they have tests of their own."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("described")
    asked = Settings(
        models=ModelSettings(name="dummy", home=str(folder / "home"), offline=True),
        image=ImageSettings(fetch_allow=("nowhere.invalid",)),
        serve=ServeSettings(timeout=20),
    )
    draw_folder(folder / "things")
    with Gallery.create(folder / "gallery.ken", settings=asked) as gallery:
        gallery.index(folder / "things")
    with served(asked, [folder / "gallery.ken"]) as (address, _):
        yield address


def operations(base: str, surface: str) -> list[Any]:
    """The operations that a surface describes, asked at its own address."""
    schema = schemathesis.openapi.from_url(f"{base}/openapi/{surface}.json")
    schema.config.update(base_url=f"{base}/v1" if surface == "v1" else base)
    return [found.ok() for found in schema.get_all_operations()]


def judge(case: Any, mode: str) -> None:
    """Ask, and hold the answer against the document."""
    from schemathesis.specs.openapi import checks

    if mode == "positive" and "gallery" in (case.path_parameters or {}):
        case.path_parameters["gallery"] = "-"  # else every one of them is unknown
    answer = case.call(timeout=90)
    if answer.status_code >= 500:
        waits = answer.headers.get("retry-after")
        assert answer.status_code == 503, answer.content[:500]
        assert waits
    assert b"Traceback" not in answer.content
    case.validate_response(
        answer,
        checks=[
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_headers_conformance,
            checks.response_schema_conformance,
        ],
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_answers_are_as_described(base: str, surface: str, mode: str) -> None:
    wrong: list[str] = []
    asked = 0
    for operation in operations(base, surface):
        if operation.path in ENDLESS:
            continue
        generation = schemathesis.GenerationMode(mode)
        try:
            strategy = operation.as_strategy(generation_mode=generation)

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=strategy)
            def ask(case: Any) -> None:
                nonlocal asked
                asked += 1
                judge(case, mode)

            ask()
        except (schemathesis.errors.SchemathesisError, Unsatisfiable):
            continue  # nothing can be wrong with a request that has no parts
        except BaseException as error:  # the others have their turn too
            if isinstance(error, KeyboardInterrupt):
                raise
            wrong.append(f"{operation.method.upper()} {operation.path}\n{_told(error)}")
    assert not wrong, "\n\n".join(wrong)
    assert asked
    assert httpx2.get(f"{base}/readyz").status_code == 200


def _told(error: BaseException) -> str:
    inner = getattr(error, "exceptions", None) or [error]
    return "\n".join(f"{type(one).__name__}: {one}"[:1500] for one in inner)


def test_every_operation_is_described(base: str) -> None:
    """What is asked above: no surface is left out."""
    found = {surface: {one.path for one in operations(base, surface)} for surface in SURFACES}
    assert "/galleries/{gallery}/identify" in found["v1"]
    assert "/api/falcon" in found["falcon"]
    assert "/analyze_image_upload/" in found["analyze"]
