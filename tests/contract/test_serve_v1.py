"""The native API over a real server: items, references, pictures, search, vectors."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import httpx2
import numpy as np
import pytest
from PIL import Image, ImageDraw
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, Settings
from kenspeckle.serve.routes.v1 import pictures
from kenspeckle.serve.service import Service

SETTINGS = replace(Settings(), models=ModelSettings(name="dummy"))
NAMES = ("red mug", "blue #1 50% mug", "green mug", *(f"spoon {n}" for n in range(5)))


def drawn(seed: int, side: int = 200) -> Image.Image:
    choose = random.Random(seed)
    image = Image.new("RGB", (side, side), tuple(choose.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(14):
        x, y = choose.randrange(side - 40), choose.randrange(side - 40)
        box = (x, y, x + choose.randrange(20, 100), y + choose.randrange(20, 100))
        pen.rectangle(box, fill=tuple(choose.randrange(256) for _ in range(3)))
    return image


def png(seed: int) -> bytes:
    out = io.BytesIO()
    drawn(seed).save(out, "PNG")
    return out.getvalue()


def file(seed: int, name: str = "photo.png") -> tuple[str, tuple[str, bytes]]:
    return ("image", (name, png(seed)))


class Api:
    """A client of one gallery of a running service."""

    def __init__(self, base: str, service: Service, folder: Path) -> None:
        self.client = httpx2.Client(base_url=base, timeout=60)
        self.service, self.folder = service, folder
        self.root = "/v1/galleries/things"

    def get(self, path: str, code: int = 200, **given: Any) -> Any:
        return self.ask("GET", path, code, **given).json()

    def post(self, path: str, code: int = 200, **given: Any) -> Any:
        return self.ask("POST", path, code, **given).json()

    def ask(self, method: str, path: str, code: int = 200, **given: Any) -> httpx2.Response:
        address = path if path.startswith("/v1") else self.root + path
        answer = self.client.request(method, address, **given)
        assert answer.status_code == code, answer.text
        if code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"]
        return answer

    def names(self, seed: int) -> str:
        """What a photo is named."""
        answer = self.post("/identify", files=[file(seed)])
        return str(answer["decision"]["candidates"][0]["key"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with eight references in `refs` and an index of them, `things.ken`."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "refs").mkdir()
    for seed, name in enumerate(NAMES):
        drawn(seed).save(folder / "refs" / f"{name}.png")
    with Gallery.create(folder / "things.ken", settings=SETTINGS) as gallery:
        gallery.index(folder / "refs")
    return folder


@pytest.fixture
def api(made: Path, tmp_path: Path) -> Iterator[Api]:
    shutil.copy(made / "things.ken", tmp_path)
    with served(SETTINGS, [tmp_path / "things.ken"]) as (base, service):
        api = Api(base, service, tmp_path)
        with api.client:
            yield api


def test_a_photo_is_identified_with_reasons_candidates_and_what_made_them(api: Api) -> None:
    answer = api.post("/identify", files=[file(1)])
    decision = answer["decision"]
    assert decision["known"]
    assert decision["label"] == "blue #1 50% mug"
    assert decision["reasons"]
    assert 0 < decision["confidence"] <= 1
    assert decision["candidates"][0]["similarity"] > 0.99
    assert decision["candidates"][0]["similarity"] > decision["candidates"][1]["similarity"]
    assert answer["image_size"] == [200, 200]
    assert {"decode", "embedding", "search"} <= set(answer["stages"])
    assert answer["elapsed_seconds"] > 0
    fingerprint = api.service.gallery().store.manifest.fingerprint
    assert answer["model"]["space_id"] == fingerprint.space_id
    assert [one["key"] for one in answer["regions"]] == [decision["key"]]
    assert answer["gallery"] == "things"
    assert answer == api.post("/v1/galleries/-/identify", files=[file(1)]) | {
        name: answer[name] for name in ("elapsed_seconds", "stages")
    }


@pytest.mark.parametrize("way", ["form", "body", "base64"])
def test_every_way_to_send_a_picture_gives_the_same_answer(api: Api, way: str) -> None:
    data = png(2)
    given: dict[str, Any] = {
        "form": {"files": [("image", ("a.png", data))]},
        "body": {"content": data, "headers": {"content-type": "image/png"}},
        "base64": {"json": {"data": base64.b64encode(data).decode()}},
    }[way]
    assert api.post("/identify", **given)["decision"]["key"] == "green mug"


def test_each_region_has_a_name_of_its_own_and_top_bounds_the_candidates(api: Api) -> None:
    answer = api.post("/identify?regions=windows&top=2", files=[file(0)])
    assert answer["regions"][0]["region"]["kind"] == "whole"
    assert len(answer["regions"]) >= 1
    assert len(answer["decision"]["candidates"]) == 2
    best = max(one["similarity"] for one in answer["regions"])
    assert best == pytest.approx(answer["decision"]["similarity"], abs=1e-6)
    assert "regions" in answer["stale"]
    assert any("out of date" in reason for reason in answer["decision"]["reasons"])


def test_of_several_photos_each_fails_alone(api: Api) -> None:
    bad = ("image", ("bad.png", b"no picture"))
    answer = api.post("/identify/batch", files=[file(0, "a.png"), bad, file(1, "b.png")])
    first, second, third = answer["answers"]
    assert first["answer"]["decision"]["key"] == "red mug"
    assert second["name"] == "bad.png"
    assert second["problem"]["status"] == 400
    assert "bad" in second["problem"]["detail"] or "picture" in second["problem"]["detail"]
    assert third["answer"]["decision"]["key"] == "blue #1 50% mug"
    assert answer["failed"] == 1


def test_more_photos_than_a_request_may_have_are_refused(api: Api) -> None:
    most = api.service.settings.serve.max_tasks
    api.post("/identify/batch", 413, files=[("image", (f"{n}.png", b"x")) for n in range(most + 1)])
    api.post("/identify/batch", 413, files=[("image", ("a.png", b"x"))] * (most + 20))
    api.post("/identify/batch", 413, json={"pictures": [{"data": "eA=="}] * (most + 1)})
    api.post("/identify", 413, files=[file(0), file(1)])


def test_an_enrolled_picture_answers_the_next_question(api: Api) -> None:
    before = api.names(10)
    made = api.post("/items", 201, files=[file(10, "yellow_cup.png")])
    assert made["references"][0]["label"] == "yellow cup"
    assert made["references"][0]["added"]
    assert made["stale"] == "references were added or removed since"
    assert before != "yellow cup"
    assert api.names(10) == "yellow cup"
    answer = api.post("/identify", files=[file(10)])
    assert answer["stale"] == made["stale"]
    assert any(made["stale"] in reason for reason in answer["decision"]["reasons"])


def test_what_is_said_of_pictures_is_kept(api: Api) -> None:
    about = {"label": "  Tea \t Pot ", "variant": "gold", "metadata": json.dumps({"shelf": "3"})}
    made = api.post("/items", 201, data=about, files=[file(11), file(12)])
    assert [one["key"] for one in made["references"]] == ["tea pot"] * 2
    item = api.get("/items/tea%20pot")
    assert (item["label"], item["variants"], item["references"]) == ("Tea Pot", ["gold"], 2)
    found = api.post("/identify", files=[file(11)])["decision"]["candidates"][0]
    assert (found["metadata"], found["variant"]) == ({"shelf": "3"}, "gold")
    same = api.post(
        "/items", 201, json={"data": base64.b64encode(png(13)).decode(), "key": "tea pot"}
    )
    assert same["references"][0]["label"] == "Tea Pot"


def test_pictures_are_enrolled_all_or_none(api: Api) -> None:
    bad = ("image", ("bad.png", b"junk"))
    api.post("/items", 400, data={"label": "Pan"}, files=[file(20), bad, file(21)])
    assert "pan" not in [item["key"] for item in api.get("/items")["items"]]


def test_a_picture_of_another_item_is_refused(api: Api) -> None:
    api.post("/items", 201, data={"label": "Cup"}, files=[file(30, "a.png")])
    said = api.post("/items", 409, data={"label": "Pot"}, files=[file(30, "a.png")])
    assert "'cup'" in said["detail"]
    again = api.post("/items", 201, data={"label": "Cup"}, files=[file(30, "a.png")])
    assert api.get("/items/cup")["references"] == 1
    assert len(again["references"]) == 1


def test_references_are_added_exchanged_and_erased(api: Api) -> None:
    added = api.post("/items/red%20mug/references", 201, files=[file(40), file(41)])
    assert [one["label"] for one in added["references"]] == ["red mug"] * 2
    first, second = (one["id"] for one in added["references"])
    assert api.names(41) == "red mug"

    other = api.ask("PUT", f"/references/{first}", files=[file(42)]).json()
    assert other["removed"] == 1
    assert api.names(42) == "red mug"
    api.get(f"/references/{first}", 404)

    gone = api.ask("DELETE", f"/references/{second}").json()
    assert gone["removed"] == 1
    assert api.get("/items/red%20mug")["references"] == 2
    api.ask("DELETE", f"/references/{second}", 404)

    all_new = api.ask("PUT", "/items/red%20mug/references", files=[file(43)]).json()
    assert all_new["removed"] == 2
    assert api.get("/items/red%20mug")["references"] == 1
    assert api.names(43) == "red mug"

    api.ask("DELETE", "/items/red%20mug")
    api.get("/items/red%20mug", 404)
    assert api.names(43) != "red mug"
    api.post("/items/red%20mug/references", 404, files=[file(40)])


def test_pages_of_items_and_references_meet_every_row_once(api: Api) -> None:
    for seed in range(8):
        api.post("/items", 201, data={"label": f"Thing {seed}"}, files=[file(50 + seed)])
    for path in ("/items", "/references", "/items/thing%203/references"):
        seen: list[Any] = []
        mark: str | None = None
        while True:
            query = {"limit": "3"} | ({"cursor": mark} if mark else {})
            page = api.get(path, params=query)
            seen += [one.get("id", one["key"]) for one in page["items"]]
            mark = page["next"]
            if mark is None:
                break
        whole = [one.get("id", one["key"]) for one in api.get(path)["items"]]
        assert seen == whole
        assert len(set(seen)) == len(seen)


def test_pages_go_on_while_items_come_and_go(api: Api) -> None:
    first = api.get("/items?limit=2")
    api.ask("DELETE", f"/items/{quote(first['items'][1]['key'])}")
    api.post("/items", 201, data={"label": "AAA"}, files=[file(60)])
    rest = api.get("/items", params={"cursor": first["next"]})
    assert rest["items"][0]["key"] == "red mug"


@pytest.mark.parametrize(
    "forge",
    [
        lambda mark: mark[:-4] + "AAAA",
        lambda mark: "x" + mark[1:],
        lambda mark: mark * 20,
        lambda mark: base64.urlsafe_b64encode(b'"red mug"').decode(),
        lambda mark: "é" + mark,
        lambda mark: base64.urlsafe_b64encode(b"x" * 9 + b"[" * 1200).decode(),
        lambda mark: "",
    ],
)
def test_a_forged_cursor_is_refused(api: Api, forge: Any) -> None:
    mark = api.get("/items?limit=1")["next"]
    forged = forge(mark)
    if not forged:
        assert api.get("/items", params={"cursor": forged})["items"]
        return
    api.get("/items", 400, params={"cursor": forged})
    api.get("/references", 400, params={"cursor": mark})


def test_pictures_of_references_are_the_files_that_were_enrolled(api: Api, made: Path) -> None:
    listed = api.get("/references")["items"]
    for one in listed:
        answer = api.ask("GET", one["picture_url"])
        assert answer.content == (made / "refs" / one["path"]).read_bytes()
        assert answer.headers["content-type"] == "image/png"
        known = {"if-none-match": answer.headers["etag"]}
        assert api.ask("GET", one["picture_url"], 304, headers=known).content == b""
        small = api.ask("GET", one["thumbnail_url"])
        assert small.headers["content-type"] == "image/jpeg"
        assert max(Image.open(io.BytesIO(small.content)).size) <= 128
    api.ask("GET", "/references/999/picture", 404)


def test_a_picture_is_hashed_where_it_is_read(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[bytes] = []

    def hashing(data: bytes) -> Any:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        hashed.append(data)
        return hashlib.sha256(data)

    monkeypatch.setattr(pictures, "hashlib", SimpleNamespace(sha256=hashing))
    one = api.get("/references")["items"][0]
    shown = [api.ask("GET", one[name]).content for name in ("picture_url", "thumbnail_url")]
    assert hashed == shown


def test_a_picture_that_was_sent_or_has_changed_is_shown_small(api: Api, made: Path) -> None:
    new = api.post("/items", 201, files=[file(70, "cup.png")])["references"][0]
    assert new["path"].endswith("/cup.png")
    assert api.ask("GET", new["picture_url"]).headers["content-type"] == "image/jpeg"
    one = api.get("/references")["items"][-2]
    changed = made / "refs" / one["path"]
    before = changed.read_bytes()
    try:
        changed.write_bytes(png(71))
        answer = api.ask("GET", one["picture_url"])
    finally:
        changed.write_bytes(before)
    assert answer.headers["content-type"] == "image/jpeg"


def test_keys_with_slashes_and_signs_are_reached_by_their_address(api: Api) -> None:
    made = api.post("/items", 201, data={"label": "AC/DC #1 100% ?"}, files=[file(80)])
    assert made["references"][0]["key"] == "ac/dc #1 100% ?"
    item = next(one for one in api.get("/items")["items"] if one["key"].startswith("ac/"))
    assert api.get(item["url"])["label"] == "AC/DC #1 100% ?"
    own = api.get(item["url"] + "/references")
    assert len(own["items"]) == 1
    assert api.ask("DELETE", item["url"]).json()["removed"] == 1


def test_search_by_picture_and_by_its_vector_agree(api: Api) -> None:
    by_picture = api.post("/search?top=2", files=[file(1)])
    assert by_picture["candidates"][0]["key"] == "blue #1 50% mug"
    assert len(by_picture["candidates"]) == 2
    listed = api.post("/vectors", files=[file(1)])
    packed = api.post("/vectors?encoding=base64", files=[file(1)])
    row = np.array(listed["vectors"][0]["vector"], np.float32)
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-3)
    data = base64.b64decode(packed["vectors"][0]["vector_base64"])
    assert np.array_equal(np.frombuffer(data, "<f4"), row)
    for wish in (
        {"vector": (3 * row).tolist()},
        {"vector": row.tolist(), "space_id": listed["model"]["space_id"]},
        {"vector_base64": packed["vectors"][0]["vector_base64"]},
    ):
        found = api.post("/search?top=2", json=wish)
        assert [one["key"] for one in found["candidates"]] == [
            one["key"] for one in by_picture["candidates"]
        ]
        assert found["candidates"][0]["similarity"] == pytest.approx(
            by_picture["candidates"][0]["similarity"], abs=1e-4
        )
    assert listed["fingerprint"]["width"] == len(row) == listed["model"]["width"]


@pytest.mark.parametrize(
    ("wish", "code", "says"),
    [
        ('{"vector": [0.1, 0.2]}', 400, ("2 numbers", "192")),
        ('{"vector": [NaN, 1.0]}', 422, ("finite",)),
        ('{"vector": [1e999]}', 422, ("finite",)),
        ('{"vector": []}', 422, ()),
        ('{"vector": ["1"]}', 422, ()),
        (json.dumps({"vector": [0] * 192}), 400, ("no direction",)),
        (json.dumps({"vector": [1e300] * 192}), 400, ("finite",)),
        ('{"vector": [1.0], "space_id": "ffff"}', 409, ("ffff", "dummy")),
        ('{"vector_base64": "AAAA"}', 422, ("4 a number",)),
        ('{"vector_base64": "%%%%"}', 422, ("base64",)),
        ('{"vector_base64": "AADAfw=="}', 400, ("1 numbers", "192")),
        ('{"text": "a red mug"}', 400, ("dummy reads no text",)),
        ('{"text": "a", "vector": [1]}', 422, ()),
        ('{"text": "a", "limit": 1}', 422, ()),
        ("{}", 422, ()),
        ("[" * 5000, 422, ()),
        ("", 422, ()),
    ],
)
def test_what_is_no_search_is_refused_with_what_was_expected(
    api: Api, wish: str, code: int, says: tuple[str, ...]
) -> None:
    headers = {"content-type": "application/json"}
    said = api.ask("POST", "/search", code, content=wish, headers=headers).text
    for part in says:
        assert part in said


def test_searches_for_several_pictures_fail_alone(api: Api) -> None:
    bad = ("image", ("bad.png", b"junk"))
    found = api.post("/search/batch?top=1", files=[file(0), bad])
    assert found["answers"][0]["candidates"][0]["key"] == "red mug"
    assert found["answers"][1]["problem"]["status"] == 400
    vectors = api.post("/vectors", files=[bad, file(0)])
    assert vectors["failed"] == 1
    assert "problem" in vectors["vectors"][0]


def test_galleries_tell_what_they_hold_and_promise(api: Api) -> None:
    (listed,) = api.get("/v1/galleries")["items"]
    own = api.get("")
    assert listed == own
    assert (own["items"], own["references"], own["name"]) == (8, 8, "things")
    assert own["calibration"]["method"] == "quick"
    assert own["promise"][0].startswith("Strangers")
    api.post("/items", 201, files=[file(90, "late.png")])
    stale = api.get("")["promise"][-1]
    assert stale.startswith("Out of date: references were added")
    assert stale.endswith("run a job of the kind calibrate (POST jobs).")
    api.ask("GET", "/v1/galleries/none", 404)


def test_an_uncalibrated_gallery_says_so(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "bare.ken", settings=SETTINGS) as gallery:
        gallery.add(png(0), label="Mug")
        gallery.store.set_calibration(None)
    with served(SETTINGS, [tmp_path / "bare.ken"]) as (base, service):
        with service.gallery().writing():
            service.gallery().store.set_calibration(None)
        client = Api(base, service, tmp_path).client
        answer = client.post("/v1/galleries/bare/identify", files=[file(0)]).json()
        assert answer["decision"]["threshold"] is None
        assert answer["decision"]["confidence"] is None
        assert "not calibrated" in answer["decision"]["reasons"][0]
        told = client.get("/v1/galleries/bare").json()
        assert told["promise"][0].startswith("Not calibrated")
        client.close()


def test_while_another_process_writes_changes_are_refused_with_its_name(api: Api) -> None:
    with Gallery.open(api.folder / "things.ken", settings=SETTINGS, write=True):
        said = api.post("/items", 409, files=[file(95, "x.png")])
        assert "is writing to it" in said["detail"]
        assert api.names(0) == "red mug"
    api.post("/items", 201, files=[file(95, "x.png")])


def test_what_another_process_wrote_is_known_to_the_next_question(api: Api) -> None:
    with Gallery.open(api.folder / "things.ken", settings=SETTINGS, write=True) as gallery:
        gallery.add(png(96), label="From elsewhere")
    assert api.names(96) == "from elsewhere"
