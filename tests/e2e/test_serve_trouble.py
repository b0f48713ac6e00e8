"""What a service says when the file of an index is bad, or gone: at once, and only for as long."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import httpx2 as httpx
import pytest
from drawing import draw
from serving import command, served
from started import DUMMY, identified, until

from kenspeckle import Gallery
from kenspeckle.config import ServeSettings
from kenspeckle.serve import keys
from kenspeckle.serve.lookout import AGAIN, HELD, Lookout

pytestmark = pytest.mark.slow


def readiness(base: str) -> tuple[int, str]:
    answered = httpx.get(f"{base}/readyz")
    return answered.status_code, answered.text


def told_of(base: str, name: str = "gallery", **headers: str) -> dict[str, object]:
    answered = httpx.get(f"{base}/health", headers=headers)
    assert answered.status_code == 200
    found: dict[str, object] = answered.json()["galleries"][name]
    return found


@pytest.mark.parametrize("how", ["another file", "written over"])
def test_an_index_that_cannot_be_read_any_more_is_told_at_once(
    folder: Path, index: Path, how: str
) -> None:
    picture, whole = folder / "things/thing_0.png", index.read_bytes()

    def put(content: bytes) -> None:
        if how == "written over":
            index.write_bytes(content)
            return
        beside = index.with_name("beside")
        beside.write_bytes(content)
        beside.replace(index)

    with served(DUMMY, [index, f"other={folder / 'gallery.ken'}"]) as (base, _):
        put(b"no index" * 1000)
        assert readiness(base) == (503, "failing\n")  # before anybody has asked a question
        assert httpx.get(f"{base}/health").json()["phase"] == "failing"
        found = told_of(base)
        assert str(index) in str(found["last_failure"])
        assert found["failing"] is True
        since = str(found["trouble_since"])
        assert abs(datetime.fromisoformat(since).timestamp() - time.time()) < 60
        refused = identified(base, picture)
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        assert told_of(base)["trouble_since"] == since
        assert not told_of(base, "other")["last_failure"]
        put(whole)
        assert readiness(base) == (200, "ready\n")
        assert told_of(base)["trouble_since"] == ""
        assert not told_of(base)["last_failure"]
        assert identified(base, picture).status_code == 200


def test_a_stranger_hears_of_trouble_and_of_no_path(index: Path) -> None:
    asked = replace(DUMMY, serve=ServeSettings(keys=str(index.with_name("keys.json"))))
    key = keys.create(index.with_name("keys.json"), "mine", ("read",))
    with served(asked, [index]) as (base, _):
        index.unlink()
        found = told_of(base)
        assert str(index) not in json.dumps(found)
        assert found["last_failure"]
        assert found["trouble_since"]
        assert str(index) in str(told_of(base, Authorization=f"Bearer {key}")["last_failure"])


def test_no_client_is_told_where_an_index_lies_that_was_named_from_here(
    folder: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(index.parent.parent)
    named = index.relative_to(Path.cwd())
    picture, new = folder / "things/thing_0.png", index.with_name("new.png")
    draw(99).save(new)
    with served(DUMMY, [named]) as (base, service):
        key = service.gallery().items()[0].key
        named.rename(beside := named.with_name("beside"))
        gone = httpx.post(
            f"{base}/v1/galleries/-/items/{key}/references",
            files={"image": ("new.png", new.read_bytes())},
            timeout=90,
        )
        assert (gone.status_code, gone.json()["detail"].split(":")[0]) == (503, named.name)
        beside.rename(named)
        beside.write_bytes(b"no index" * 1000)
        beside.replace(named)
        bad = identified(base, picture)
        assert (bad.status_code, bad.json()["detail"].split(":")[0]) == (503, named.name)
        assert named.parent.name not in gone.text + bad.text
        assert str(named) in str(told_of(base)["last_failure"])


def test_health_and_the_log_tell_of_a_file_of_keys_that_is_gone(
    index: Path, tmp_path: Path
) -> None:
    place = index.with_name("gallery.ken.keys")
    key = keys.create(place, "mine", ("read",))
    with command([index], tmp_path) as (base, process):

        def health() -> tuple[str, bool]:
            found = httpx.get(f"{base}/health", headers={"Authorization": f"Bearer {key}"}).json()
            return found["access"], found["access_failing"]

        assert health() == ("a key is asked", False)
        place.rename(beside := place.with_name("beside"))
        said, failing = health()
        assert failing
        assert "the file of keys cannot be used" in said
        assert str(tmp_path) not in said
        beside.rename(place)
        assert health() == ("a key is asked", False)
    told = [line for line in process.log.read_text().splitlines() if "event=logged" in line]
    assert [line.count(place.name) for line in told] == [1, 1]
    assert ("level=error" in told[0], "level=warning" in told[1]) == (True, True)


@pytest.mark.parametrize(
    ("content", "sentence"), [(b"no index" * 1000, "index"), (None, "deleted or moved")]
)
def test_the_log_tells_once_of_an_index_that_is_bad_or_gone_though_nobody_asks(
    index: Path, tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    beside = index.with_name("beside")

    def told() -> list[str]:
        return [line for line in process.log.read_text().splitlines() if "event=logged" in line]

    with command([index], tmp_path) as (base, process):
        index.rename(beside)
        if content is not None:
            index.write_bytes(content)
        until(lambda: bool(told()))
        for _ in range(5):
            httpx.get(f"{base}/readyz")
            identified(base, beside)
        time.sleep(AGAIN)
        httpx.get(f"{base}/health")
        beside.replace(index)
        until(lambda: len(told()) > 1)
    bad, well = told()
    assert ("level=error" in bad, "level=warning" in well) == (True, True)
    assert "gallery gallery: " in bad
    assert "gallery gallery: " in well
    assert sentence in bad.replace(str(index), "")
    assert str(index) in bad


@pytest.mark.parametrize("kind", ["ken", "npz"])
def test_an_index_that_was_deleted_is_answered_from_memory_and_not_written(
    folder: Path, index: Path, kind: str
) -> None:
    if kind == "npz":
        with Gallery.open(index, settings=DUMMY) as gallery:
            gallery.export(index := index.with_suffix(".npz"))
    picture, beside = folder / "things/thing_0.png", index.with_name("beside")
    with served(DUMMY, [index]) as (base, service):
        key = service.gallery().items()[0].key
        index.rename(beside)
        found = told_of(base)
        assert "deleted or moved since it was opened" in str(found["last_failure"])
        assert (found["failing"], bool(found["trouble_since"])) == (False, True)
        assert readiness(base) == (200, "ready\n")
        assert identified(base, picture).status_code == 200
        new = index.with_name("new.png")
        draw(99).save(new)
        refused = httpx.post(
            f"{base}/v1/galleries/-/items/{key}/references",
            files={"image": (new.name, new.read_bytes())},
            timeout=90,
        )
        assert refused.status_code == 503, refused.text
        assert "deleted or moved since it was opened" in refused.json()["detail"]
        assert not index.exists()
        beside.rename(index)
        assert told_of(base)["last_failure"] == ""


def test_a_bad_file_is_read_again_when_it_changes_and_else_now_and_then(index: Path) -> None:
    now = [0.0]
    with Gallery.open(index, settings=DUMMY) as gallery:
        lookout = Lookout({"gallery": gallery}, clock=lambda: now[0])
        assert lookout.look() == {}
        whole = index.read_bytes()
        for content, bad in ((b"junk", True), (b"more junk", True), (whole, False)):
            beside = index.with_name("beside")
            beside.write_bytes(content)
            beside.replace(index)
            assert bool(lookout.look()) is bad
        beside.write_bytes(b"junk")
        beside.replace(index)
        (first,) = lookout.look().values()
        gallery.trouble = ""
        lookout.look()
        assert gallery.trouble == ""  # it was not read again
        now[0] += AGAIN
        (again,) = lookout.look().values()
        assert gallery.trouble == first.sentence == again.sentence
        assert again.since == first.since


def test_every_change_of_trouble_is_one_line_and_none_when_the_service_ends(
    index: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Gallery.open(index, settings=DUMMY) as gallery:
        lookout, whole = Lookout({"mine": gallery}), index.read_bytes()
        for content in (whole, b"junk" * 1000, b"", whole):
            index.unlink(missing_ok=True)
            if content:
                index.with_name("beside").write_bytes(content)
                index.with_name("beside").replace(index)
            for _ in range(3):
                lookout.look()
        lookout.end()
        index.unlink()
        assert lookout.look()
    assert [one.levelname for one in caplog.records] == ["ERROR", "ERROR", "WARNING"]
    assert all(one.getMessage().startswith("gallery mine: ") for one in caplog.records)


@contextmanager
def held(gallery: Gallery) -> Iterator[None]:
    """Somebody holds the index of a gallery for as long as a block runs."""
    has, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with gallery.store.still():
            has.set()
            assert let_go.wait(120)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert has.wait(60)
        try:
            yield
        finally:
            let_go.set()
        holding.result(60)


def test_who_looks_after_the_service_waits_for_nobody_who_holds_an_index(index: Path) -> None:
    paths = ["/health", "/readyz", "/metrics", "/livez"]
    with served(DUMMY, [index]) as (base, service), ThreadPoolExecutor(40) as pool:
        before = told_of(base)
        with held(service.gallery()):
            asked = [pool.submit(httpx.get, base + path, timeout=60) for path in paths * 10]
            assert [one.result().status_code for one in asked] == [200] * 40
            assert told_of(base) == before
        assert readiness(base) == (200, "ready\n")


def test_an_index_that_is_held_for_long_answers_no_question_and_is_told_so(
    index: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    with Gallery.open(index, settings=DUMMY) as gallery:
        lookout = Lookout({"gallery": gallery}, clock=lambda: now[0])
        until(lambda: lookout.seen()["gallery"].calibrated is not None)
        with held(gallery):
            assert lookout.look() == {}
            now[0] += HELD
            (found,) = lookout.look().values()
            assert found.failing
            assert f"{index}: in use for {HELD:.0f} s" in found.sentence
            now[0] += 1
            lookout.look()
            (told,) = caplog.messages
            assert f"{index}: in use for long" in told
        until(lambda: lookout.look() == {})
