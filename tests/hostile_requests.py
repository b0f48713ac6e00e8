"""Requests that no honest client sends: any number of them, by seed, for every route there is.

`requests(count, seed)` yields them in turn by kind. None of them may be answered with a fault,
and none may do harm.
"""

from __future__ import annotations

import base64
import functools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import hostile

GALLERY = "/v1/galleries/-"
BOUNDARY = "----frontier"


@dataclass(frozen=True)
class Asked:
    """One request. `raw` are the bytes of a connection of its own, in place of all the rest."""

    kind: str
    method: str = "GET"
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes = b""


Maker = Callable[[random.Random], Asked]

PICTURE_ROUTES = (
    ("/api/falcon", "image", {"query": "card"}),
    (f"{GALLERY}/identify", "image", {}),
    (f"{GALLERY}/identify/batch", "image", {}),
    (f"{GALLERY}/search", "image", {}),
    (f"{GALLERY}/vectors", "image", {}),
    (f"{GALLERY}/items", "image", {"label": "junk"}),
    (f"{GALLERY}/confirm?key=nothing", "image", {}),
    (f"{GALLERY}/reject", "image", {}),
    (
        "/analyze_image_upload/",
        "image_file",
        {"tasks_json": '[{"operation_id":"a","type":"detect_bounding_box"}]'},
    ),
    (
        "/v1/analyze",
        "image",
        {"tasks": '[{"id":"a","type":"detect_bounding_box","target":"prominent_face"}]'},
    ),
)

JSON_ROUTES = (
    ("POST", f"{GALLERY}/identify"),
    ("POST", f"{GALLERY}/identify/batch"),
    ("POST", f"{GALLERY}/search"),
    ("POST", f"{GALLERY}/search/batch"),
    ("POST", f"{GALLERY}/vectors"),
    ("POST", f"{GALLERY}/items"),
    ("POST", f"{GALLERY}/rename"),
    ("POST", f"{GALLERY}/jobs"),
    ("POST", f"{GALLERY}/confirm"),
    ("PUT", f"{GALLERY}/items/thing%200/references"),
    ("PUT", f"{GALLERY}/references/1"),
    ("POST", "/analyze_image/"),
    ("POST", "/v1/analyze"),
)

PATHS = (
    "/refs/../things.ken",
    "/refs/..%2f..%2fetc%2fpasswd",
    "/refs/%2e%2e/%2e%2e/etc/passwd",
    "/refs//etc/passwd",
    "/refs/%2Fetc%2Fpasswd",
    "/refs/..%5c..%5cthings.ken",
    "/refs/thing_0.png%00.jpg",
    "/refs/C:%5Cthings.ken",
    "/refs/gallery.ken",
    "/refs/gallery.ken.keys",
    "/refs/" + "a/" * 1500,
    "/refs/%",
    "/refs/%zz",
    "/refs/%c0%ae%c0%ae/",
    "/refs/~root/.ssh/id_rsa",
    "/v1/galleries/..%2f..%2fetc/items",
    "/v1/galleries/" + "x" * 3000,
    f"{GALLERY}/references/99999999999999999999999",
    f"{GALLERY}/references/-1/picture",
    f"{GALLERY}/references/1e9/thumbnail",
    f"{GALLERY}/references/١/picture",
    f"{GALLERY}/items/%ed%a0%80",
    f"{GALLERY}/items/' OR 1=1 --",
    f"{GALLERY}/items?cursor=AAAA&limit=-3",
    f"{GALLERY}/items?limit=99999999999999999999",
    f"{GALLERY}/items?cursor=" + "A" * 4000,
    f"{GALLERY}/references?cursor=%ff%fe",
    f"{GALLERY}/feedback?limit=nan",
    "/v1/jobs/../../etc",
    "/v1/jobs/%00",
    "/v1/nothing/at/all",
    "/v2/galleries",
    "//v1//galleries",
    "/api/top-prices?limit=-1",
    "/api/top-prices?limit=1e400",
    "/api/top-prices?limit=" + "9" * 5000,
    "/openapi/../v1.json",
    "/openapi/none.json",
    "/.env",
    "/metrics?x=" + "y" * 7000,
)

ORIGINS = (
    *("http://[", "http://]", "http://[::1", "http://[x]/", "http://\u2100.example", "//"),
    *("http://a:b@c", "http://localhost:99999999", "\xe9", "http://[v1.x]"),
)

URLS = (
    "http://127.0.0.1:1/x.png",
    "http://localhost:22/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://0/",
    "http://169.254.169.254/latest/meta-data/",
    "http://10.0.0.1/",
    "http://192.168.0.1:8080/a",
    "http://172.16.0.1/",
    "http://[fe80::1%25eth0]/",
    "http://[fd00::1]/",
    "file:///etc/passwd",
    "ftp://127.0.0.1/",
    "gopher://127.0.0.1:70/_x",
    "data:image/png;base64,AAAA",
    "http://ann:secret@127.0.0.1/",
    "http://127.0.0.1:99999/",
    "http://",
    "http:///x",
    "//127.0.0.1/x",
    "javascript:alert(1)",
    "http://127.0.0.1\r\nX: y/",
    "http://" + "a" * 5000 + "/",
    "http://nosuch.invalid/x",
    "\ud800",
    "",
)

TASKS: tuple[Any, ...] = (
    "not json",
    "5",
    "null",
    "{}",
    '""',
    "[]",
    '[{"type":"x"}]',
    '[{"operation_id":3,"type":"classify"}]',
    json.dumps([{"operation_id": str(n), "type": "classify"} for n in range(10_000)]),
    json.dumps([{"operation_id": "same", "type": "embed_dino_v2"}] * 60),
    "[" * 200_000,
    '[{"operation_id":"a","type":"classify","params":{"collection_id":' + "[" * 900 + "]" * 900
    + "}}]",
    '[{"operation_id":"a","type":"classify","params":{"collection_id":NaN}}]',
    '[{"operation_id":"a","type":"classify","params":{"collection_id":1e999}}]',
    '[{"operation_id":"a","type":"classify","params":{"collection_id":' + "9" * 5000 + "}}]",
    '[{"operation_id":"\\ud800","type":"detect_bounding_box"}]',
    '[{"operation_id":"a","type":"describe_image","params":{"max_length":-5}}]',
    '[{"operation_id":"a","type":"describe_image","params":{"max_length":"x"}}]',
    '[{"operation_id":"a","type":"embed_clip_vit_b_32","params":{"target":["x"]}}]',
    '[{"operation_id":"a","type":"embed_clip_vit_b_32","params":[1]}]',
    '[{"operation_id":"../../x","type":"../../x"}]',
    '[{"operation_id":"a","type":"detect_bounding_box","params":{"face_context":{"a":1}}}]',
    "\x00",
)  # fmt: skip

VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**400,
    0.5,
    "",
    "x" * 70_000,
    "\x00",
    "\ud800",
    "💥\u202e",
    [],
    {},
    [[]] * 50,
    {"a": {"b": {"c": []}}},
    "../../etc/passwd",
)

FIELDS = (
    *("url", "data", "name", "pictures", "vector", "vector_base64", "text", "space_id", "label"),
    *("key", "variant", "metadata", "kind", "seconds", "urls", "folder", "refs", "image_url"),
    *("tasks", "photos", "strangers", "fpir", "new_key", "merge", "stream", "gallery"),
)


def multipart(
    file: bytes, name: str, fields: dict[str, str], *, filename: str = "frame.jpg"
) -> bytes:
    """The body of a form with one file."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode(
            "utf-8", "surrogatepass"
        )
        for key, value in fields.items()
    ]
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    parts.append(head.encode("utf-8", "surrogatepass") + file + b"\r\n")
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def _picture(rng: random.Random) -> bytes:
    _, build, _ = rng.choice(list(hostile.kinds().values()))
    return build(rng)


def pictures(rng: random.Random) -> Asked:
    """A bad picture, or a sound one, to a route that takes pictures."""
    path, name, fields = rng.choice(PICTURE_ROUTES)
    return Asked("pictures", "POST", path, FORM, multipart(_picture(rng), name, fields))


def bare(rng: random.Random) -> Asked:
    """A picture as the body itself."""
    kind = rng.choice(["image/png", "application/octet-stream", "text/plain", "image/svg+xml", ""])
    path = rng.choice(PICTURE_ROUTES)[0]
    return Asked("bare", "POST", path, {"content-type": kind}, _picture(rng))


def names(rng: random.Random) -> Asked:
    """Names of files that lead elsewhere, or nowhere."""
    odd = ["../../etc/passwd", "a\x00b", "x" * 9000, "C:\\x", "\u202egpj.exe", "..", "", "a%00.png"]
    path, name, fields = rng.choice(PICTURE_ROUTES)
    body = multipart(hostile.saved("PNG"), name, fields, filename=rng.choice(odd))
    return Asked("names", "POST", path, FORM, body)


def forms(rng: random.Random) -> Asked:
    """Forms that are broken."""
    path, name, fields = rng.choice(PICTURE_ROUTES)
    whole = multipart(hostile.saved("JPEG"), name, fields)
    headers, body = rng.choice(BROKEN)(rng, whole)
    return Asked("forms", "POST", path, headers, body)


Broken = Callable[[random.Random, bytes], tuple[dict[str, str], bytes]]


def _swapped(old: bytes, new: bytes) -> Broken:
    return lambda _, whole: (FORM, whole.replace(old, new))


def _said(kind: str, body: bytes = b"") -> Broken:
    return lambda _, whole: ({"content-type": kind}, body or whole)


def _many(name: bytes, count: int, size: int = 1) -> Broken:
    part = b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    one = part % (BOUNDARY.encode(), name, b"y" * size)
    return lambda _, whole: (FORM, one * count + whole)


def _damaged(rng: random.Random, whole: bytes) -> tuple[dict[str, str], bytes]:
    body = bytearray(whole)
    for _ in range(20):
        body[rng.randrange(len(body))] = rng.randrange(256)
    return FORM, bytes(body)


BROKEN: tuple[Broken, ...] = (
    lambda rng, whole: (FORM, whole[: rng.randrange(len(whole))]),
    lambda _, whole: (FORM, b"\r\n" * 50_000 + whole),
    _damaged,
    _swapped(BOUNDARY.encode(), b"elsewhere"),
    _swapped(b"form-data", b"attachment"),
    _swapped(b'name="image', b'name="other'),
    _swapped(b"Content-Type", b"X" * 20_000 + b": y\r\nContent-Type"),
    _swapped(b"image/jpeg", b"text/plain; charset=nothing"),
    _said("multipart/form-data"),
    _said("multipart/form-data; boundary="),
    _said(f"multipart/form-data; boundary={'b' * 200}", b"--" + b"b" * 200 + b"\r\n\n\n"),
    _said("application/x-www-form-urlencoded", b"image=x&query=y"),
    _many(b"f", 1500),
    _many(b"query", 1, 2_000_000),
    _many(b"tasks_json", 1, 2_000_000),
    _many(b"image", 200),
)


def tasks(rng: random.Random) -> Asked:
    """Lists of tasks that are none."""
    file = rng.choice([hostile.saved("PNG"), b"junk"])
    listed = rng.choice(TASKS)
    if rng.random() < 0.5:
        listed = listed.replace("operation_id", "id")
    if rng.random() < 0.3:
        body = f'{{"image_url":"http://127.0.0.1/x","tasks":{listed}}}'
        kind = {"content-type": "application/json"}
        path = rng.choice(["/analyze_image/", "/v1/analyze"])
        return Asked("tasks", "POST", path, kind, body.encode("utf-8", "surrogatepass"))
    path, name, key = rng.choice(
        [("/analyze_image_upload/", "image_file", "tasks_json"), ("/v1/analyze", "image", "tasks")]
    )
    return Asked("tasks", "POST", path, FORM, multipart(file, name, {key: listed}))


def addresses(rng: random.Random) -> Asked:
    """Pictures at addresses that nobody may ask."""
    method, path = rng.choice([*JSON_ROUTES[:6], ("POST", "/analyze_image/")])
    url = rng.choice(URLS)
    body: dict[str, Any] = {"url": url}
    if path.startswith("/analyze"):
        body = {"image_url": url, "tasks": [{"operation_id": "a", "type": "detect_bounding_box"}]}
    return Asked("addresses", method, path, _JSON, json.dumps(body).encode())


_JSON = {"content-type": "application/json"}


def objects(rng: random.Random) -> Asked:
    """JSON of known fields with values that do not fit."""
    method, path = rng.choice(JSON_ROUTES)
    held = {rng.choice(FIELDS): rng.choice(VALUES) for _ in range(rng.randrange(1, 5))}
    body = json.dumps(held) if rng.random() < 0.9 else json.dumps([held])
    return Asked("objects", method, path, _JSON, body.encode("utf-8", "surrogatepass"))


def vectors(rng: random.Random) -> Asked:
    """Vectors of other lengths, and numbers that are none."""
    words = ["NaN", "Infinity", "-Infinity", "1e999", "1e-999", '"1"', "null", "[1]", "0"]
    width = rng.choice([0, 1, 3, 31, 32, 64, 384, 5000, 70_000])
    told = ",".join([rng.choice(words)] * width)
    if rng.random() < 0.3:
        packed = base64.b64encode(rng.randbytes(rng.choice([0, 3, 4, 128, 4096]))).decode()
        body = json.dumps({"vector_base64": packed})
    else:
        body = f'{{"vector":[{told}]}}'
    return Asked("vectors", "POST", f"{GALLERY}/search", _JSON, body.encode())


def broken_json(rng: random.Random) -> Asked:
    """Bodies that are no JSON, or too much of it."""
    method, path = rng.choice(JSON_ROUTES)
    texts = [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\xff\xfe",
        b'{"url":"\xff"}',
        b"nan",
        b"9" * 20_000,
        b'{"url":1,"url":2}',
        b"\x00" * 100,
        b'{"data":"' + b"A" * 300_001 + b'"}',
        b'{"data":"@@@@"}',
        rng.randbytes(300),
    ]
    kind = rng.choice(["application/json", "application/json; charset=utf-16", "text/json"])
    return Asked("broken json", method, path, {"content-type": kind}, rng.choice(texts))


def paths(rng: random.Random) -> Asked:
    """Paths that lead out, and parameters that are none."""
    method = rng.choice(["GET", "GET", "GET", "HEAD", "DELETE"])
    return Asked("paths", method, rng.choice(PATHS))


def methods(rng: random.Random) -> Asked:
    """Methods that a route does not have."""
    path = rng.choice([path for _, path in JSON_ROUTES] + ["/health", "/", "/refs/x", "/metrics"])
    method = rng.choice(["PUT", "PATCH", "TRACE", "OPTIONS", "PROPFIND", "HEAD", "POST"])
    return Asked("methods", method, path, {}, b"x" if method in ("PUT", "PATCH") else b"")


def heads(rng: random.Random) -> Asked:
    """Headers that say odd things."""
    odd = [
        {"content-encoding": "gzip"},
        {"transfer-encoding": "chunked"},
        {"expect": "100-continue"},
        {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13"},
        {"range": "bytes=0-99999999999"},
        {"if-none-match": "x" * 9000},
        {"x-request-id": "<script>" * 20},
        {"authorization": "Bearer " + "x" * 9000},
        {"x-forwarded-for": "10.0.0.1", "x-forwarded-host": "evil.example"},
        {"accept": "application/xml;q=" + "9" * 300},
        {"accept-encoding": "br, zstd, *;q=0"},
        {"cookie": "a=b; " * 1000},
        {"origin": "null"},
        {"origin": rng.choice(ORIGINS)},
        {"origin": rng.choice(ORIGINS), "access-control-request-method": "POST"},
        {"host": rng.choice(("[", "[::1", "localhost:x", "@", "a" * 9000))},
        {"content-type": "multipart/form-data; boundary*=utf-9''%ff"},
        {"content-type": "application/json; charset=rot13"},
        {"content-length": "40000000"},
        {"origin": "http://evil.example", "access-control-request-method": "POST"},
        {"host": "evil.example"},
        {"content-type": "x" * 5000},
        {"last-event-id": "\x7f" * 10},
        {f"x-{number}": "y" for number in range(150)},
    ]
    method, path = rng.choice([("GET", "/health"), ("GET", GALLERY), ("POST", "/api/falcon")])
    return Asked("heads", method, path, rng.choice(odd), b"" if method == "GET" else b"abc")


def lines(rng: random.Random) -> Asked:
    """Connections that speak no HTTP, or stop in the middle of it."""
    host = b"Host: localhost\r\nConnection: close\r\n"
    said = [
        rng.randbytes(200),
        b"\r\n" * 50,
        b"GET / HTTP/1.1\r\n" + b"A: " + b"x" * 100_000,
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
        b"GET /" + b"%2e" * 3000 + b" HTTP/1.1\r\n" + host + b"\r\n",
        b"POST /api/falcon HTTP/1.1\r\n" + host + b"Content-Length: 9999999999\r\n\r\n",
        b"POST /api/falcon HTTP/1.1\r\n" + host + b"Content-Length: 50\r\n\r\nabc",
        b"POST /api/falcon HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /api/falcon HTTP/1.1\r\n"
        + host
        + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
        b"POST /api/falcon HTTP/1.1\r\n"
        + host
        + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET http://127.0.0.1:22/ HTTP/1.1\r\n" + host + b"\r\n",
        b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n" + host + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /v1/galleries/-/identify HTTP/1.1\r\n"
        + host
        + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 18\r\n\r\n"
        + b"GET / HTTP/1.1\r\n\r\n",
        b"GET /readyz HTTP/1.1\r\n" + host + b"Connection: ,Upgrade,\r\nUpgrade:\r\n\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n" * 20,
        b"GET /readyz HTTP/1.1\r\n" + host + b"Content-Length: 2000000\r\n\r\nabc",
        b"GET /readyz HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
        b"POST /api/falcon HTTP/1.1\r\n"
        + host
        + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: "
        + b"a" * 500_000,
        b"POST /api/falcon HTTP/1.1\r\n"
        + host
        + b"Transfer-Encoding: chunked\r\n\r\n1;"
        + b"a" * 500_000,
        b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nA: " + b"a" * 500_000,
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + rng.randbytes(150),
    ]
    return Asked("lines", raw=rng.choice(said))


MAKERS: tuple[Maker, ...] = (
    *(pictures, pictures, pictures, pictures, bare, names, forms, forms, tasks, tasks),
    *(addresses, objects, objects, vectors, broken_json, paths, paths, methods, heads, lines),
)


@functools.cache
def kinds() -> frozenset[str]:
    """The names of all kinds."""
    rng = random.Random(0)
    return frozenset(maker(rng).kind for maker in MAKERS)


def requests(count: int, seed: int = 0) -> Iterator[Asked]:
    """So many requests of all kinds in turn."""
    rng = random.Random(seed)
    for number in range(count):
        yield MAKERS[number % len(MAKERS)](rng)
