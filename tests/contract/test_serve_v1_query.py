"""What the query says is taken, or refused by name; nothing is passed over in silence."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from drawing import draw
from serving import served

from kenspeckle import Gallery
from kenspeckle.config import ModelSettings, Settings

SETTINGS = Settings(models=ModelSettings(name="dummy"))
THINGS = "/v1/galleries/things"
RAW = {"content-type": "image/png"}


def png(seed: int) -> bytes:
    out = io.BytesIO()
    draw(seed).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    folder = tmp_path_factory.mktemp("query")
    (folder / "refs").mkdir()
    for seed in range(3):
        draw(seed).save(folder / "refs" / f"thing {seed}.png")
    with Gallery.create(folder / "things.ken", settings=SETTINGS) as gallery:
        gallery.index(folder / "refs")
    with (
        served(SETTINGS, [folder / "things.ken"]) as (base, _),
        httpx2.Client(base_url=base, timeout=60) as made,
    ):
        yield made


def told(answer: httpx2.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return json.dumps(answer.json())


def test_a_picture_alone_says_in_the_query_what_it_shows(client: httpx2.Client) -> None:
    about = {"label": "Teapot", "key": "tea/pot", "variant": "blue"}
    made = client.post(f"{THINGS}/items", params=about, content=png(10), headers=RAW)
    assert made.status_code == 201, made.text
    (one,) = made.json()["references"]
    assert {name: one[name] for name in about} == about
    also = client.post(
        f"{THINGS}/items/tea/pot/references",
        params={"variant": "red"},
        content=png(11),
        headers=RAW,
    )
    assert also.status_code == 201, also.text
    assert also.json()["references"][0]["variant"] == "red"
    files = {"image": ("other.png", png(12))}
    beside = client.post(f"{THINGS}/items", params={"label": "Cup"}, data={"key": "c"}, files=files)
    assert beside.status_code == 201, beside.text
    (one,) = beside.json()["references"]
    assert (one["label"], one["key"]) == ("Cup", "c")


@pytest.mark.parametrize("said", [{"key": "a/../b"}, {"label": "a/../b"}])
def test_a_name_that_has_no_address_is_told_where_it_was_said(
    client: httpx2.Client, said: dict[str, str]
) -> None:
    (name,) = said
    asked = client.post(f"{THINGS}/items", params=said, content=png(14), headers=RAW)
    assert f"query.{name}: the key 'a/../b' has a part" in told(asked, 422)
    files = {"image": ("a.png", png(14))}
    sent = client.post(f"{THINGS}/items", data=said, files=files)
    assert f"body.{name}: the key 'a/../b' has a part" in told(sent, 422)


@pytest.mark.parametrize(
    ("route", "name", "called"),
    [
        ("items?key=cup", "hostname", "hostname"),
        ("items?key=cup", "", "picture"),
        ("confirm?key=thing 1", "", "picture"),
        ("reject", "", "picture"),
    ],
)
def test_a_picture_that_cannot_be_used_is_called_as_its_client_calls_it(
    client: httpx2.Client, route: str, name: str, called: str
) -> None:
    junk = {"data": base64.b64encode(b"abc").decode(), "name": name}
    if not name:
        del junk["name"]
    refused = client.post(f"{THINGS}/{route}", json=junk)
    assert f'"detail": "{called}: 3 bytes unlike' in told(refused, 400)


def test_what_is_said_in_both_places_is_refused(client: httpx2.Client) -> None:
    files = {"image": ("a.png", png(13))}
    both = client.post(f"{THINGS}/items?label=Jug", data={"label": "Cup"}, files=files)
    assert "say it once" in told(both, 422)


@pytest.mark.parametrize(
    ("method", "path", "unknown", "known"),
    [
        ("POST", "/search?limit=3", "limit", "top"),
        ("POST", "/identify?key=a&top=2", "key", "top, regions, second_look"),
        ("POST", "/items?name=Teapot", "name", "label, key, variant"),
        ("POST", "/reject?variant=a", "variant", "key"),
        ("GET", "/items?top=3", "top", "limit, cursor"),
        ("GET", "/items/thing%200?limit=3", "limit", "none is expected here"),
        ("DELETE", "/items/thing%200?dry=1", "dry", "none is expected here"),
    ],
)
def test_a_parameter_that_nobody_reads_is_refused_by_name(
    client: httpx2.Client, method: str, path: str, unknown: str, known: str
) -> None:
    files = {"image": ("a.png", png(1))} if method == "POST" else None
    answer = client.request(method, THINGS + path, files=files)
    assert known in told(answer, 422)
    assert ["query", unknown] in [one["loc"] for one in answer.json()["errors"]]
    assert client.get(f"{THINGS}/items/thing%200").status_code == 200


def test_the_query_is_described(client: httpx2.Client) -> None:
    paths = client.get("/v1/openapi.json").json()["paths"]
    names = [one["name"] for one in paths["/galleries/{gallery}/items"]["post"]["parameters"]]
    assert names == ["gallery", "label", "key", "variant"]


@pytest.mark.parametrize("about", [{"key": "mug/references"}, {"label": "Mug/References"}])
def test_a_key_like_an_address_is_refused(client: httpx2.Client, about: dict[str, str]) -> None:
    files = {"image": ("a.png", png(14))}
    refused = client.post(f"{THINGS}/items", data=about, files=files)
    assert "ends in /references" in told(refused, 422)
    renamed = client.post(
        f"{THINGS}/rename", json={"item": "thing 1", "label": "A", "key": "a/references"}
    )
    assert "ends in /references" in told(renamed, 422)


@pytest.mark.parametrize("key", [".", "..", "a/.", "../a", "a/../b", "./a"])
def test_a_key_that_clients_would_shorten_is_refused(client: httpx2.Client, key: str) -> None:
    made = client.post(f"{THINGS}/items", params={"key": key}, content=png(15), headers=RAW)
    assert "has a part . or .." in told(made, 422)
    renamed = client.post(f"{THINGS}/rename", json={"item": "thing 1", "key": key})
    assert "has a part . or .." in told(renamed, 422)
    assert key not in [one["key"] for one in client.get(f"{THINGS}/items").json()["items"]]


def test_dots_within_a_part_of_a_key_are_nothing_special(client: httpx2.Client) -> None:
    about = {"key": "v1.2/...x"}
    made = client.post(f"{THINGS}/items", params=about, content=png(16), headers=RAW)
    assert made.status_code == 201, made.text
    assert client.get(f"{THINGS}/items/{about['key']}").json()["key"] == about["key"]


def test_an_item_that_has_such_a_key_already_is_listed_and_can_be_renamed(tmp_path: Path) -> None:
    with Gallery.create(tmp_path / "old.ken", settings=SETTINGS) as gallery:
        gallery.add(png(0), key="..", label="Dots")
    with (
        served(SETTINGS, [tmp_path / "old.ken"]) as (base, _),
        httpx2.Client(base_url=f"{base}/v1/galleries/old", timeout=60) as client,
    ):
        assert [one["key"] for one in client.get("/items").json()["items"]] == [".."]
        (one,) = client.get("/references").json()["items"]
        assert client.get(one["picture_url"].replace("/v1/galleries/old", "")).status_code == 200
        named = client.post("/rename", json={"item": "..", "key": "dots"})
        assert named.status_code == 200, named.text
        assert client.get("/items/dots").json()["label"] == "Dots"


@pytest.mark.parametrize(
    ("path", "rows"),
    [("/identify/batch", "answers"), ("/vectors", "vectors"), ("/search/batch", "answers")],
)
def test_base64_that_cannot_be_read_fails_alone(
    client: httpx2.Client, path: str, rows: str
) -> None:
    good = base64.b64encode(png(1)).decode()
    pictures = [{"data": good, "name": "a"}, {"data": "!!", "name": "b"}, {"data": good}]
    answer = client.post(f"{THINGS}{path}", json={"pictures": pictures})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["failed"] == 1
    assert ["problem" in row for row in told[rows]] == [False, True, False]
    problem = told[rows][1]["problem"]
    assert (told[rows][1]["name"], problem["status"]) == ("b", 422)
    assert problem["detail"].startswith("body.pictures.1.data: not base64; expected the file in")
    assert "!!" not in problem["detail"]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        ({"params": {"limit": "0"}}, "query.limit: Input should be greater than or equal to 1"),
        ({"params": {"colour": "red"}}, "query.colour: no such parameter; expected limit, cursor"),
    ],
)
def test_the_detail_says_what_is_wrong(client: httpx2.Client, ask: Any, said: str) -> None:
    answer = client.get(f"{THINGS}/items", **ask)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(said)


@pytest.mark.parametrize(
    ("path", "sent", "status", "said"),
    [
        (
            "/identify",
            {"files": {"image": (None, "hello")}},
            422,
            "body.image: a text; expected a file in 'image' (curl: -F image=@FILE), or JSON",
        ),
        ("/identify", {"files": {"url": (None, "http://h/")}}, 422, "body.url: a text; expected a"),
        (
            "/items",
            {"files": [("label", (None, "a")), ("label", (None, "b"))]},
            422,
            "body.label: said twice; say it once",
        ),
        (
            "/items",
            {"data": {"lable": "x"}, "files": {"image": ("a", b"x")}},
            422,
            "body.lable: no such field; expected variant, metadata, label, key",
        ),
        (
            "/identify",
            {"data": {"label": "x"}, "files": {"image": ("a", b"x")}},
            422,
            "body.label: no text is expected here",
        ),
        (
            "/identify",
            {"json": {"ulr": "http://h/", "data": "eA=="}},
            422,
            "body.ulr: no such field; expected url, data, name, pictures",
        ),
        (
            "/identify",
            {"json": {"url": "http://h/", "data": "eA=="}},
            422,
            "body: url and data; expected one of url, data, pictures",
        ),
        ("/identify", {"json": {}}, 422, "body: none of them; expected one of url, data, pictures"),
        (
            "/identify",
            {"json": {"data": "!!"}},
            422,
            "body.data: not base64; expected the file in base64. Send it padded with =",
        ),
        ("/identify", {"json": {"pictures": [{"data": "!!"}]}}, 422, "body.pictures.0.data: not"),
        ("/identify/batch", {"json": {"data": "!!"}}, 422, "body.data: not base64; expected the"),
        ("/identify", {"json": {"pictures": []}}, 422, "body.pictures: no picture; send at least"),
        (
            "/items",
            {"json": {"pictures": [{"data": "eA=="}, {"data": "!!"}]}},
            422,
            "body.pictures.1.data: not base64; expected the file in base64",
        ),
        (
            "/search",
            {"json": {"vector_base64": "!!"}},
            422,
            "body.vector_base64: not base64; expected little-endian float32 in base64",
        ),
        (
            "/search",
            {"json": {"url": "http://h/", "text": "mug"}},
            422,
            "body: url and text; expected one of url, data, vector, vector_base64, text",
        ),
        (
            "/identify",
            {"files": [("image", ("a", b"x")), ("image", ("b", b"x"))]},
            413,
            "request: 2 pictures; expected at most 1 here. Send several by POST identify/batch",
        ),
        (
            "/search",
            {"files": [("image", ("a", b"x")), ("image", ("b", b"x"))]},
            413,
            "request: 2 pictures; expected at most 1 here. Send several by POST search/batch",
        ),
        (
            "/jobs",
            {"json": {"kind": "identify"}},
            400,
            "job: neither urls nor a folder; expected one of the two",
        ),
        (
            "/jobs",
            {"json": {"kind": "identify", "urls": ["http://h/"], "folder": "/x"}},
            400,
            "job: urls and a folder; expected one of the two",
        ),
    ],
)
def test_a_body_that_cannot_be_used_is_told_what_is_expected(
    client: httpx2.Client, path: str, sent: Any, status: int, said: str
) -> None:
    answer = client.post(f"{THINGS}{path}", **sent)
    told(answer, status)
    assert answer.json()["detail"].startswith(said)


def test_where_a_problem_was_is_an_address(client: httpx2.Client) -> None:
    answer = client.get(f"{THINGS}/items/a b/c%25 ö?limit=x")
    instance = answer.json()["instance"]
    assert instance == f"{THINGS}/items/a%20b/c%25%20%C3%B6"
    assert client.get(instance).json()["instance"] == instance


@pytest.mark.parametrize("path", ["/v1/jobs/none", "/v1/jobs/none/answers", "/v1/none"])
def test_what_was_never_enrolled_is_not_found(client: httpx2.Client, path: str) -> None:
    told(client.get(path), 404)
    assert client.get(path).json()["type"] == "urn:kenspeckle:not-found"
    missing = client.get(f"{THINGS}/items/none").json()
    assert missing["type"] == "urn:kenspeckle:not-enrolled"


def test_a_problem_among_answers_is_as_it_is_by_itself(client: httpx2.Client) -> None:
    bad = {"image": ("a.png", b"no picture")}
    alone = client.post(f"{THINGS}/identify", files=bad)
    (row,) = client.post(f"{THINGS}/identify/batch", files=bad).json()["answers"]
    assert list(row["problem"]) == list(alone.json())
    assert None not in row["problem"].values()
    shape = client.get("/v1/openapi.json").json()["components"]["schemas"]["Problem"]
    assert set(shape["properties"]) == {*alone.json(), "errors"}
    assert "errors" not in shape["required"]


def test_the_detail_counts_what_else_is_wrong(client: httpx2.Client) -> None:
    wish = {"item": 1, "label": 2, "key": 3}
    answer = client.post(f"{THINGS}/rename", json=wish)
    detail, errors = answer.json()["detail"], answer.json()["errors"]
    assert len(errors) == 3
    assert detail == f"body.item: {errors[0]['msg']} (and 2 more, see `errors`)"


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/v1/none", 404, "/v1/none: no such path; expected one of those in "),
        ("GET", f"{THINGS}/identify", 405, "this method is not taken here; expected POST"),
        ("POST", f"{THINGS}/items/a", 405, "not taken here; expected DELETE, GET, HEAD"),
        ("PUT", f"{THINGS}/items", 405, "not taken here; expected GET, HEAD, POST"),
        ("POST", "/v1/docs", 405, "this method is not taken here; expected GET, HEAD"),
    ],
)
def test_what_nobody_answers_is_told_with_what_there_is(
    client: httpx2.Client, method: str, path: str, status: int, said: str
) -> None:
    answer = client.request(method, path)
    told(answer, status)
    detail = answer.json()["detail"]
    assert path in detail
    assert said in detail
    if status == 404:
        assert client.get(detail.rpartition(" ")[2]).json()["openapi"]
    else:
        assert detail.endswith(f"expected {answer.headers['allow']}")


def test_a_long_path_is_told_in_part(client: httpx2.Client) -> None:
    answer = client.get("/v1/" + "x" * 3000)
    assert "no such path" in told(answer, 404)
    assert len(answer.json()["detail"]) < 400


def test_a_key_that_is_taken_is_refused_with_the_request_that_makes_one_of_both(
    client: httpx2.Client,
) -> None:
    wish = {"item": "thing 1", "key": "thing 2"}
    refused = client.post(f"{THINGS}/rename", json=wish)
    assert '"merge": true' in refused.json()["detail"]
    assert "--" not in told(refused, 409)


@pytest.mark.parametrize("left", [3, 10, 100, 1000])
@pytest.mark.parametrize("pictures", [1, 2])
def test_a_form_that_was_cut_off_is_said_to_be_one(
    client: httpx2.Client, left: int, pictures: int
) -> None:
    files = [("image", (f"{number}.png", png(number))) for number in range(pictures)]
    request = client.build_request("POST", f"{THINGS}/identify/batch", files=files)
    whole = request.read()
    cut = client.post(
        f"{THINGS}/identify/batch",
        content=whole[:-left],
        headers={"content-type": request.headers["content-type"]},
    )
    assert "it ends in the middle of a part" in told(cut, 422)


def test_one_file_under_two_names_is_no_two_items(client: httpx2.Client) -> None:
    for name, status in (("banana.png", 201), ("apple.png", 409), ("apple.png", 409)):
        answer = client.post(f"{THINGS}/items", files={"image": (name, png(20))})
        assert answer.status_code == status, answer.text
    assert "reference of 'banana' already" in answer.json()["detail"]
    named = {"image": ("apple.png", png(20))}
    again = client.post(f"{THINGS}/items", data={"key": "banana"}, files=named)
    assert again.status_code == 201, again.text
