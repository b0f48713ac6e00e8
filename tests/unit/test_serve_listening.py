"""Who listens for long: asked again whether they may, before each event and each heartbeat."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kenspeckle.errors import AccessRefused
from kenspeckle.serve import keys
from kenspeckle.serve.access import ANYBODY, NATIVE, TRUSTED, Access, may
from kenspeckle.serve.events import Bus, Event
from kenspeckle.serve.routes.v1.stream import told


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "things.ken.keys"


def test_a_key_may_until_it_is_revoked_and_its_name_is_given_anew(file: Path) -> None:
    secret = keys.create(file, "camera", ["read"])
    keys.create(file, "other", ["read"])
    access = Access(file)
    camera = access.principal(secret, NATIVE)
    assert camera is not None
    assert access.still(camera, ["read"])
    assert not access.still(camera, ["write"])
    keys.revoke(file, "camera")
    assert not access.still(camera, ["read"])
    keys.create(file, "camera", ["read"])
    assert not access.still(camera, ["read"]), "that is another key"


def test_the_first_key_ends_what_was_begun_without_one(file: Path) -> None:
    access = Access(file, open_surfaces=["falcon"])
    assert access.still(TRUSTED, ["read"])
    keys.create(file, "camera", ["read"])
    assert not access.still(TRUSTED, ["read"])
    assert access.still(TRUSTED, ["read"], "falcon")
    assert not access.still(ANYBODY, ["read"], "falcon")
    file.unlink()
    assert not access.still(TRUSTED, ["read"]), "a file that vanishes opens nothing"


@pytest.mark.parametrize("heartbeat", [0.01, 60.0])
def test_a_line_ends_before_the_next_event_or_heartbeat(file: Path, heartbeat: float) -> None:
    secret = keys.create(file, "camera", ["read"])
    keys.create(file, "other", ["read"])
    access = Access(file)
    camera = access.principal(secret, NATIVE)
    assert camera is not None

    async def scene() -> None:
        bus = Bus()
        listener = bus.subscribe(heartbeat=heartbeat)
        line = told(listener, lambda event: event.data, lambda: access.still(camera, ["read"]))
        assert (await anext(line)).startswith(b"retry: ")
        bus.publish(Event("appeared", {"item": "mug"}))
        assert b"event: appeared" in await anext(line)
        keys.revoke(file, "camera")
        if heartbeat > 1:
            bus.publish(Event("gone", {"item": "mug"}))
        assert [part async for part in line] == []
        listener.close()

    asyncio.run(asyncio.wait_for(scene(), 60))


@pytest.mark.parametrize(
    ("scope", "says"),
    [("read", "ask or look"), ("write", "change anything"), ("admin", "administer this service")],
)
def test_whoever_may_not_is_told_so_in_a_sentence(scope: str, says: str) -> None:
    with pytest.raises(AccessRefused, match=f"{says}.* expected a key with the scope {scope}"):
        may(ANYBODY, scope)
