"""Jobs over HTTP: indexing, calibrating and many photos, while the service goes on answering."""

from __future__ import annotations

import http.server
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx2
import pytest
from analysing import gives, site
from listening import listening
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import IndexSettings, ModelSettings, ServeSettings, Settings
from kenspeckle.serve.keys import create
from kenspeckle.serve.schemas.work import Calibrate
from kenspeckle.serve.work import work_of

SETTINGS = Settings(
    models=ModelSettings(name="dummy"),
    index=IndexSettings(calibrate=False),
    serve=ServeSettings(surfaces=("falcon",)),
)
AT = "/v1/galleries/things"
DOCS = Path(__file__).parent.parent.parent / "docs"


@pytest.fixture
def folder(tmp_path: Path, drawn) -> Path:
    made = tmp_path / "things"
    made.mkdir()
    for number in range(6):
        drawn(number).save(made / f"thing_{number}.png")
    return made


@pytest.fixture
def index(folder: Path, tmp_path: Path) -> Path:
    with Gallery.create(tmp_path / "things.ken", settings=SETTINGS) as gallery:
        gallery.index(folder)
    return tmp_path / "things.ken"


@pytest.fixture
def client(index: Path) -> Iterator[httpx2.Client]:
    with (
        served(replace(SETTINGS, serve=replace(SETTINGS.serve)), [index]) as (base, _),
        httpx2.Client(base_url=base, timeout=90) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory, drawn) -> Iterator[httpx2.Client]:
    """One service for all that is refused."""
    folder = tmp_path_factory.mktemp("refusing")
    drawn(1).save(folder / "thing_1.png")
    with Gallery.create(folder / "things.ken", settings=SETTINGS) as gallery:
        gallery.index(folder)
    with (
        served(replace(SETTINGS, serve=replace(SETTINGS.serve)), [folder / "things.ken"]) as (
            base,
            _,
        ),
        httpx2.Client(base_url=base, timeout=90) as made,
    ):
        yield made


def start(client: httpx2.Client, status: int = 202, **wish: Any) -> dict[str, Any]:
    answer = client.post(f"{AT}/jobs", json=wish)
    assert answer.status_code == status, answer.text
    if status == 202:
        assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    else:
        assert answer.headers["content-type"] == "application/problem+json"
    return dict(answer.json())


def until(client: httpx2.Client, job: dict[str, Any], wanted: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 200
    while True:
        now = client.get(f"/v1/jobs/{job['id']}").json()
        if wanted(now):
            return now
        assert time.monotonic() < deadline, now
        time.sleep(0.02)


def ended(client: httpx2.Client, job: dict[str, Any]) -> dict[str, Any]:
    return dict(until(client, job, lambda one: one["finished"]))


def test_a_folder_is_indexed_again_and_the_next_question_knows(client, folder, drawn):
    drawn(50).save(folder / "new_thing.png")
    (folder / "thing_0.png").unlink()
    (folder / "broken.png").write_bytes(b"junk")
    job = start(client, kind="index")
    assert (job["kind"], job["gallery"], job["created"] != "") == ("index", "things", True)
    done = ended(client, job)
    assert (done["state"], done["error"]) == ("done", "")
    counts = {name: done["result"][name] for name in ("added", "removed", "same", "failed")}
    assert counts == {"added": 1, "removed": 1, "same": 5, "failed": 1}
    assert done["result"]["failures"][0]["path"] == "broken.png"
    file = io.BytesIO()
    drawn(50).save(file, "PNG")
    answer = client.post(f"{AT}/identify", files={"image": ("p", file.getvalue())}).json()
    assert answer["decision"]["candidates"][0]["key"] == "new thing"


@pytest.mark.slow
def test_progress_is_told_and_the_line_ends_with_the_job(client, folder, drawn):
    for number in range(100, 160):
        drawn(number, 640).save(folder / f"more_{number}.png")
    job = start(client, kind="index")
    with listening(f"{client.base_url}/v1/jobs/{job['id']}/events") as listener:
        listener.wait(lambda: listener.ended, 60)
        states = [one.kind for one in listener.events if one.kind != "heartbeat"]
        assert states[-1] == "done"
        assert set(states[:-1]) <= {"waiting", "running"}
        counts = [one.data["done"] for one in listener.of("running")]
        assert counts == sorted(counts)
        assert listener.of("done")[0].data["result"]["added"] == 60
    with listening(f"{client.base_url}/v1/jobs/{job['id']}/events") as late:
        late.wait(lambda: late.ended)
        assert [one.kind for one in late.events] == ["done"]


def test_an_unchanged_folder_is_told_as_looked_at(client):
    job = ended(client, start(client, kind="index"))
    assert job["state"] == "done", job
    assert job["result"]["same"] == 6
    assert (job["done"], job["total"]) == (6, 6)


@pytest.mark.slow
def test_a_calibration_is_fitted(client):
    quick = ended(client, start(client, kind="calibrate", seconds=0.5))
    assert quick["state"] == "done", quick
    assert quick["result"]["calibration"]["method"] == "quick"
    full = ended(client, start(client, kind="calibrate", views=2, fpir=0.5))
    assert full["state"] == "done", full
    assert full["result"]["calibration"]["method"] == "full"
    refused = ended(client, start(client, kind="calibrate", views=2, fpir=0.001))
    assert refused["state"] == "failed"
    assert refused["error"]


def test_photos_of_a_folder_are_answered_in_pages(client, folder):
    (folder / "broken.png").write_bytes(b"junk")
    job = ended(client, start(client, kind="identify", folder=str(folder)))
    assert job["state"] == "done", job
    assert job["result"] == {"photos": 7, "known": 6, "unknown": 0, "failed": 1}
    first = client.get(f"/v1/jobs/{job['id']}/answers", params={"limit": 4}).json()
    mark = {"limit": 4, "cursor": first["next"]}
    second = client.get(f"/v1/jobs/{job['id']}/answers", params=mark).json()
    rows = [*first["items"], *second["items"]]
    assert second["next"] is None
    assert [row["label"] for row in rows] == ["", *(f"thing {number}" for number in range(6))]
    assert rows[0]["error"]
    assert all(row["known"] for row in rows[1:])
    forged = client.get(f"/v1/jobs/{job['id']}/answers", params={"cursor": "x"})
    assert forged.status_code == 400


def test_photos_of_a_folder_are_told_by_their_path_below_it(client, folder, tmp_path, drawn):
    photos = tmp_path / "photos"
    for place in ("", "a", "a/b"):
        (photos / place).mkdir(exist_ok=True)
        drawn(1).save(photos / place / "same name.png")
    (photos / "a" / "broken.png").write_bytes(b"junk")
    job = start(client, kind="identify", folder=str(photos))
    done = ended(client, job)
    told = client.get(f"/v1/jobs/{job['id']}/answers")
    rows = told.json()["items"]
    assert [row["photo"] for row in rows] == [
        *("a/b/same name.png", "a/broken.png", "a/same name.png", "same name.png"),
    ]
    assert [row["key"] for row in rows] == ["thing 1", "", "thing 1", "thing 1"]
    assert str(tmp_path) not in told.text + json.dumps(done)


@pytest.mark.slow
def test_photos_of_strangers_are_told_by_their_name_as_a_rule_is_fitted(index, tmp_path, drawn):
    others = tmp_path / "others"
    others.mkdir()
    for number in range(70, 80):
        drawn(number).save(others / f"other_{number}.png")
    wish = Calibrate(kind="calibrate", strangers=str(others), views=1, fpir=0.5)
    steps: list[str] = []
    with Gallery.open(index, settings=SETTINGS, write=True) as gallery:
        work_of(gallery, wish, lambda work: work(), [])(
            lambda done, total, name: steps.append(name)
        )
    assert {f"other_{number}.png" for number in range(70, 80)} <= set(steps)
    assert not any("/" in step for step in steps)


@pytest.mark.slow
def test_a_full_queue_is_waited_for(index, folder):
    """Clients are refused while a job waits for its turn among them, and no photo of it fails."""
    serve = replace(SETTINGS.serve, queue=1)
    data, statuses, over = (folder / "thing_1.png").read_bytes(), list[int](), Event()
    with (
        served(replace(SETTINGS, serve=serve), [index]) as (base, _),
        httpx2.Client(base_url=base, timeout=90) as client,
    ):

        def ask() -> None:
            with httpx2.Client(base_url=base, timeout=90) as own:
                while not over.is_set():
                    answer = own.post(f"{AT}/identify", files={"image": ("p", data)})
                    statuses.append(answer.status_code)

        threads = [Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        job = ended(client, start(client, kind="identify", folder=str(folder)))
        over.set()
        for thread in threads:
            thread.join(30)
    assert job["result"] == {"photos": 6, "known": 6, "unknown": 0, "failed": 0}
    assert set(statuses) <= {200, 503}


def test_an_address_that_may_not_be_fetched_fails_alone(client):
    urls = ["http://127.0.0.1:9/a.png", "file:///etc/passwd", "http://[::1]/", "nonsense"]
    job = ended(client, start(client, kind="identify", urls=urls))
    assert job["result"] == {"photos": 4, "known": 0, "unknown": 0, "failed": 4}
    rows = client.get(f"/v1/jobs/{job['id']}/answers").json()["items"]
    assert len({row["error"] for row in rows}) == 1, "who asks learns nothing of the targets"


def test_answers_are_there_as_they_come_and_stay_when_their_job_is_cancelled(index, folder):
    """A page of a job that goes on says so, its mark brings what comes later."""
    give, gate = gives((folder / "thing_1.png").read_bytes()), Event()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        assert handler.path < "/2" or gate.wait(60)
        give(handler)

    image = replace(SETTINGS.image, fetch_allow=("127.0.0.1/32",), fetch_timeout=60.0)
    with (
        site(answer) as (photos, _),
        served(replace(SETTINGS, image=image), [index]) as (base, _),
        httpx2.Client(base_url=base, timeout=90) as client,
    ):
        urls = [f"{photos}/{number}" for number in range(5)]
        job = start(client, kind="identify", urls=urls)

        def page(cursor: str | None = None, limit: int = 100) -> Any:
            params = {"limit": limit} | ({"cursor": cursor} if cursor else {})
            told = client.get(f"/v1/jobs/{job['id']}/answers", params=params).json()
            return [row["photo"] for row in told["items"]], told["state"], told["next"]

        until(client, job, lambda one: one["done"] == 2)
        first = page(limit=1)
        assert first[:2] == (urls[:1], "running")
        second = page(first[2])
        assert second[:2] == (urls[1:2], "running")
        nothing = page(second[2])
        assert nothing == ([], "running", second[2])
        client.delete(f"/v1/jobs/{job['id']}")
        gate.set()
        done = ended(client, job)
        assert (done["state"], done["done"], done["result"]) == ("cancelled", 3, {})
        assert page(nothing[2]) == (urls[2:3], "cancelled", None)
        assert page() == (urls[:3], "cancelled", None)


def test_work_without_photos_has_no_answers_to_wait_for(client):
    job = start(client, kind="index")
    assert client.get(f"/v1/jobs/{job['id']}/answers").json()["next"] is None
    ended(client, job)
    page = client.get(f"/v1/jobs/{job['id']}/answers").json()
    assert page == {"items": [], "next": None, "state": "done"}


def test_the_jobs_that_the_page_shows_are_done_and_answered_as_it_shows(index, folder):
    page = (DOCS / "how-to/events-and-jobs.md").read_text(encoding="utf-8").partition("## Jobs")[2]
    wishes = re.findall(r"-d '(\{.*?\})'", page) + re.findall(r"`(\{\"kind.*?\})`", page)
    kinds = {json.loads(wish)["kind"] for wish in wishes}
    assert kinds == {"index", "identify", "calibrate"}
    shown = re.search(r'"items":\[(\{"photo".*?\}),', page, re.DOTALL)
    assert shown is not None
    image = replace(SETTINGS.image, fetch_allow=("127.0.0.1/32",))
    with (
        site(gives((folder / "thing_1.png").read_bytes())) as (photos, _),
        served(replace(SETTINGS, image=image), [index]) as (base, _),
        httpx2.Client(base_url=base, timeout=90) as client,
    ):
        for wish in wishes:
            asked = json.loads(wish.replace("https://example.com", photos))
            job = ended(client, start(client, **asked))
            assert (job["state"], job["error"]) == ("done", "")
            if asked["kind"] == "identify":
                told = client.get(f"/v1/jobs/{job['id']}/answers").json()
                rows = told.pop("items")
                assert json.dumps(told, separators=(",", ":"))[1:] in page
                assert [row["photo"] for row in rows] == asked["urls"]
                assert {row["key"] for row in rows} == {"thing 1"}
                assert list(rows[0]) == list(json.loads(shown[1]))


@pytest.mark.slow
def test_a_job_is_cancelled_and_keeps_what_it_stored(client, folder, drawn):
    for number in range(100, 400):
        drawn(number, 400).save(folder / f"more_{number}.png")
    job = start(client, kind="index")
    second = start(client, kind="index")
    assert second["state"] == "waiting", "one writer at a time"
    until(client, job, lambda one: one["done"] > 0 or one["finished"])
    assert client.delete(f"/v1/jobs/{second['id']}").json()["state"] == "cancelled"
    asked = client.delete(f"/v1/jobs/{job['id']}").json()
    assert asked["cancelling"] or asked["finished"]
    assert ended(client, job)["state"] == "cancelled"
    assert client.delete(f"/v1/jobs/{job['id']}").json()["state"] == "cancelled"
    third = ended(client, start(client, kind="index"))
    assert third["state"] == "done"
    assert third["result"]["same"] + third["result"]["added"] == 306


@pytest.mark.slow
def test_a_service_that_stops_ends_its_jobs_and_keeps_what_they_stored(index, folder, drawn):
    for number in range(100, 250):
        drawn(number, 400).save(folder / f"more_{number}.png")
    with (
        served(replace(SETTINGS, serve=replace(SETTINGS.serve)), [index]) as (base, service),
        httpx2.Client(base_url=base, timeout=90) as client,
    ):
        job = start(client, kind="index")
        until(client, job, lambda one: one["done"] > 0 or one["finished"])
        began = time.monotonic()
    assert time.monotonic() - began < 0.9 * SETTINGS.serve.grace
    assert service.jobs.get(job["id"]).state == "cancelled"
    with Gallery.open(index, settings=SETTINGS, write=True) as gallery:
        assert len(gallery.references()) >= 6
        assert gallery.index(folder).failed == ()
        assert len(gallery.references()) == 156


def test_jobs_are_listed_the_newest_first(client):
    made = [ended(client, start(client, kind="index"))["id"] for _ in range(5)]
    first = client.get("/v1/jobs", params={"limit": 3}).json()
    second = client.get("/v1/jobs", params={"limit": 3, "cursor": first["next"]}).json()
    assert [one["id"] for one in (*first["items"], *second["items"])] == made[::-1]
    assert client.get("/v1/jobs", params={"state": "failed"}).json()["items"] == []
    assert len(client.get("/v1/jobs", params={"gallery": "things"}).json()["items"]) == 5
    assert client.get("/v1/jobs", params={"state": "happy"}).status_code == 422


def test_what_cannot_be_done_is_said_and_harms_nothing(client, tmp_path):
    job = ended(client, start(client, kind="index", refs=str(tmp_path / "nowhere")))
    assert (job["state"], job["result"]) == ("failed", {})
    assert "nowhere" in job["error"]
    assert str(tmp_path) not in job["error"], "where files lie is nobody's business"
    (tmp_path / "empty").mkdir()
    job = ended(client, start(client, kind="index", refs=str(tmp_path / "empty")))
    assert job["state"] == "failed"
    assert client.get(AT).status_code in (200, 404)
    assert ended(client, start(client, kind="index"))["state"] == "done"


@pytest.mark.slow
def test_while_another_writes_a_job_says_who(client, index):
    with Gallery.open(index, settings=SETTINGS, write=True):
        job = ended(client, start(client, kind="index"))
    assert job["state"] == "failed"
    assert "writing" in job["error"]


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        ({"kind": "nope"}, "'nope'"),
        ({"kind": "{type} " + "x" * 90}, "'{type} " + "x" * 33 + "'"),
        ({"kind": ["index"]}, "no text"),
        ({}, "none"),
    ],
)
def test_another_kind_is_told_with_those_there_are(refusing, wish, found):
    problem = start(refusing, 422, **wish)
    expected = "expected index, calibrate or identify"
    assert problem["detail"] == f"body.kind: {found}; {expected}"
    assert problem["errors"][0]["loc"] == ["body", "kind"]


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({}, 422),
        ({"kind": "destroy"}, 422),
        ({"kind": "index", "refs": ""}, 422),
        ({"kind": "index", "refs": "a\0b"}, 422),
        ({"kind": "index", "refs": "x" * 5000}, 422),
        ({"kind": "index", "rehash": "yes"}, 422),
        ({"kind": "index", "seconds": 3}, 422),
        ({"kind": "calibrate", "seconds": -1}, 422),
        ({"kind": "calibrate", "seconds": 1e9}, 422),
        ({"kind": "calibrate", "fpir": 0}, 422),
        ({"kind": "identify"}, 400),
        ({"kind": "identify", "urls": []}, 422),
        ({"kind": "identify", "urls": ["a"] * 1001}, 422),
        ({"kind": "identify", "urls": ["a"], "folder": "b"}, 400),
        ([], 422),
    ],
)
def test_what_is_no_job_is_refused(refusing, wish, status):
    answer = refusing.post(
        f"{AT}/jobs", content=json.dumps(wish), headers={"content-type": "application/json"}
    )
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert refusing.get("/v1/jobs").json()["items"] == []


@pytest.mark.parametrize(
    ("wish", "place"),
    [
        ({"kind": "identify", "urls": []}, ["urls"]),
        ({"kind": "identify", "urls": ["a", 5]}, ["urls", 1]),
        ({"kind": "calibrate", "seconds": -1}, ["seconds"]),
        ({"kind": "index", "refs": None, "calibrate": 1}, ["calibrate"]),
    ],
)
def test_a_fault_of_a_job_is_told_by_its_place_in_the_request(refusing, wish, place):
    problem = start(refusing, 422, **wish)
    assert problem["errors"][0]["loc"] == ["body", *place]
    assert problem["detail"].startswith(".".join(map(str, ["body", *place])) + ": ")


@pytest.mark.parametrize("body", [b"[" * 5000, b'{"kind": "index\xff"}', b"9" * 5000, b"{", b""])
@pytest.mark.parametrize("route", ["jobs", "rename"])
def test_a_body_that_cannot_be_read_is_refused_as_everywhere(refusing, route, body):
    answer = refusing.post(
        f"{AT}/{route}", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["loc"][0] == "body"


@pytest.mark.parametrize("name", ["none", "x" * 65, "%00", "..%2f..%2fetc"])
def test_there_is_no_such_job(refusing, name):
    for way, path in (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("GET", "/answers")):
        answer = refusing.request(way, f"/v1/jobs/{name}{path}")
        assert answer.status_code in (400, 404, 422), answer.text


@pytest.mark.slow
def test_who_may_do_what(index, folder):
    """Keys: reading, writing, paths of the machine; and jobs of others are not there."""
    keys = index.parent / "keys.json"
    serve = replace(SETTINGS.serve, keys=str(keys))
    secret = {
        name: create(keys, name, scopes)
        for name, scopes in {
            "reader": ("read",),
            "scribe": ("write",),
            "writer": ("read", "write"),
            "other": ("read", "write"),
            "owner": ("read", "write", "admin"),
        }.items()
    }
    with (
        served(replace(SETTINGS, serve=serve), [index]) as (base, _),
        httpx2.Client(base_url=base, timeout=90) as client,
    ):

        def ask(who: str, way: str, path: str, **more: Any) -> httpx2.Response:
            headers = {"authorization": f"Bearer {secret[who]}"}
            return client.request(way, path, headers=headers, **more)

        own, elsewhere = {"kind": "index"}, {"kind": "index", "refs": str(folder)}
        photos = {"kind": "identify", "urls": ["http://127.0.0.1/"]}
        below = {"kind": "identify", "folder": str(folder)}
        for who, wish, status in (
            *(("reader", own, 403), ("reader", below, 403), ("reader", photos, 202)),
            *(("writer", elsewhere, 403), ("writer", below, 403), ("writer", own, 202)),
            *(("owner", elsewhere, 202), ("owner", below, 202)),
            *(("scribe", photos, 403), ("scribe", elsewhere, 403), ("scribe", own, 202)),
        ):
            answer = ask(who, "POST", f"{AT}/jobs", json=wish)
            assert answer.status_code == status, (who, wish, answer.text)
        assert client.post(f"{AT}/jobs", json=own).status_code == 401
        assert client.get("/v1/events").status_code == 401
        listed = {who: ask(who, "GET", "/v1/jobs").json()["items"] for who in secret}
        assert {who: len(jobs) for who, jobs in listed.items()} == {
            "reader": 1,
            "scribe": 1,
            "writer": 1,
            "other": 0,
            "owner": 5,
        }
        (mine,) = listed["scribe"]
        for way, path, status in (
            *(("GET", "", 200), ("DELETE", "", 200), ("GET", "/events", 200)),
            ("GET", "/answers", 403),
        ):
            answer = ask("scribe", way, f"/v1/jobs/{mine['id']}{path}")
            assert answer.status_code == status, (way, path, answer.text)
        (job,) = listed["writer"]
        for way, path in (("GET", ""), ("DELETE", ""), ("GET", "/events"), ("GET", "/answers")):
            answer = ask("other", way, f"/v1/jobs/{job['id']}{path}")
            assert answer.status_code == 404
        assert ask("owner", "GET", f"/v1/jobs/{job['id']}").status_code == 200
