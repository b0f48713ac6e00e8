"""Systems of others: any function, and an address on this machine that really answers."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from kenspeckle.errors import FetchError, InputError, SettingError
from kenspeckle.evaluate.endpoint import Endpoint
from kenspeckle.evaluate.foreign import Reply, evaluate_callable
from kenspeckle.evaluate.samples import Dataset, Sample, Truth
from kenspeckle.evaluate.text import lines


def dataset(folder: Path, items: int = 6, strangers: int = 6) -> Dataset:
    """One photo of each item, and of each stranger; a photo's red is its number."""

    def sample(role: Any, name: str, label: str, number: int) -> Sample:
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / name)
        return Sample(role, folder / name, name, (Truth(label),))

    return Dataset(
        "colours",
        folder,
        "table",
        tuple(sample("reference", f"r{n}.png", f"item {n}", n) for n in range(items)),
        tuple(sample("query", f"q{n}.png", f"item {n}", n) for n in range(items)),
        tuple(sample("stranger", f"s{n}.png", f"other {n}", 100 + n) for n in range(strangers)),
    )


def number_of(photo: Path) -> int:
    with Image.open(photo) as image:
        return int(image.getpixel((0, 0))[0])  # type: ignore[index]


def knows(photo: Path) -> Reply:
    number = number_of(photo)
    if number >= 100:
        return Reply("", 0.1 + number / 1000, 0.2, (("item 0", 0.1 + number / 1000),))
    return Reply(f"item {number}", 0.9, 0.9, ((f"item {number}", 0.9), ("item 9", 0.4)))


def test_a_function_is_measured_by_its_own_decision(tmp_path: Path) -> None:
    found = evaluate_callable(dataset(tmp_path), knows, name="by red")
    assert found.rates["tpir"].value == 1.0
    assert found.rates["fpir"].value == 0.0
    assert found.rates["auroc"].value == 1.0
    assert found.rates["ece"].value == pytest.approx(0.15, abs=0.051)
    assert found.counts[0].tp == 6
    assert found.answers[0].margin == pytest.approx(0.5)
    assert "by red" in lines(found)[0]
    assert found.draws[0].items == 6


def test_its_threshold_is_fitted_on_strangers_that_are_not_reported(tmp_path: Path) -> None:
    data = dataset(tmp_path, strangers=40)
    found = evaluate_callable(data, knows, fpir=0.05, seed=3)
    strangers = [one for one in found.answers if not one.enrolled]
    assert len(strangers) == 20
    assert found.draws[0].fitted_on == 20
    again = evaluate_callable(data, knows, fpir=0.05, seed=3)
    assert [a.query for a in again.answers] == [a.query for a in found.answers]
    assert found.draws[0].threshold in {0.1 + (100 + n) / 1000 for n in range(40)}
    assert found.rates["tpir"].value == 1.0


def test_names_that_it_does_not_know_are_strangers(tmp_path: Path) -> None:
    found = evaluate_callable(dataset(tmp_path), knows, names=["item 0", "item 1"])
    assert sum(one.enrolled for one in found.answers) == 2
    assert found.rates["fpir"].value == pytest.approx(0.4)


def test_scores_that_are_no_numbers_are_counted_and_the_lowest(tmp_path: Path) -> None:
    found = evaluate_callable(dataset(tmp_path), lambda photo: Reply("item 0", math.nan), fpir=0.2)
    assert found.excluded["answer with a score that is no number (held for the lowest)"] == 12
    assert not any(one.said for one in found.answers)


def test_without_scores_a_name_counts_as_one(tmp_path: Path) -> None:
    found = evaluate_callable(dataset(tmp_path), lambda photo: Reply(knows(photo).label))
    assert {one.score for one in found.answers} == {0.0, 1.0}
    assert found.rates["auroc"].value == 1.0


def test_no_strangers(tmp_path: Path) -> None:
    data = dataset(tmp_path, strangers=0)
    found = evaluate_callable(data, knows, fpir=0.05)
    assert "No strangers to fit a threshold on: every photo gets a name." in found.notes
    assert "fpir" not in found.rates


def test_failures_are_left_out_and_counted(tmp_path: Path) -> None:
    def fails(photo: Path) -> Reply:
        if photo.name == "q3.png":
            raise RuntimeError("out of paint")
        return knows(photo)

    found = evaluate_callable(dataset(tmp_path), fails, callers=3)
    assert found.excluded["photo that the system failed on"] == 1
    assert len(found.answers) == 11


def test_one_that_always_fails_is_asked_no_further(tmp_path: Path) -> None:
    asked = []

    def never(photo: Path) -> Reply:
        asked.append(photo)
        raise InputError("system", "closed")

    with pytest.raises(InputError, match="closed"):
        evaluate_callable(dataset(tmp_path, items=60), never)
    assert len(asked) < 60

    def broken(photo: Path) -> Reply:
        raise ValueError(photo.name)

    with pytest.raises(InputError, match="no photo was answered"):
        evaluate_callable(dataset(tmp_path, items=2, strangers=0), broken)


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, math.nan])
def test_a_rate_that_none_can_have(tmp_path: Path, rate: float) -> None:
    with pytest.raises(SettingError, match="fpir"):
        evaluate_callable(dataset(tmp_path), knows, fpir=rate)


# An address


Answering = Callable[[BaseHTTPRequestHandler, bytes], None]


class Served:
    """A server on loopback whose answer each test decides."""

    def __init__(self) -> None:
        self.answer: Answering = lambda handler, body: None
        self.seen: list[tuple[str, str, bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.seen.append((self.path, self.headers["Content-Type"], body))
                outer.answer(self, body)

            def log_message(self, *words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/identify?token=secret"

    def replies(self, data: Any, status: int = 200) -> None:
        text = data if isinstance(data, bytes) else json.dumps(data).encode()

        def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
            handler.send_response(status)
            handler.send_header("Location", "http://127.0.0.1:1/")
            handler.end_headers()
            handler.wfile.write(text)

        self.answer = answer


@pytest.fixture
def served() -> Iterator[Served]:
    one = Served()
    thread = threading.Thread(target=one.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield one
    one.server.shutdown()
    one.server.server_close()
    thread.join()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (8, 8), (7, 0, 0)).save(path)
    return path


def test_an_address_is_posted_the_bytes_and_answers(served: Served, photo: Path) -> None:
    served.replies(
        {
            "label": "cup",
            "score": 0.8,
            "confidence": 0.7,
            "candidates": [{"label": "cup", "similarity": 0.8}, {"label": "hat", "score": 0.1}],
        }
    )
    reply = Endpoint(served.url)(photo)
    assert reply == Reply("cup", 0.8, 0.7, (("cup", 0.8), ("hat", 0.1)))
    path, kind, body = served.seen[0]
    assert (path, kind, body) == ("/identify?token=secret", "image/png", photo.read_bytes())


def test_a_form_carries_the_file(served: Served, photo: Path) -> None:
    served.replies({"label": None})
    assert Endpoint(served.url, field="image")(photo).label == ""
    _, kind, body = served.seen[0]
    assert kind.startswith("multipart/form-data; boundary=")
    assert b'name="image"' in body
    assert photo.read_bytes() in body


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        ({"label": "unknown"}, Reply("")),
        ({"label": "cup", "known": False, "score": 0.2}, Reply("", 0.2)),
        ({}, Reply("")),
        ({"label": "cup", "confidence": 7}, Reply("cup")),
    ],
)
def test_what_fields_mean(served: Served, photo: Path, data: Any, reply: Reply) -> None:
    served.replies(data)
    assert Endpoint(served.url)(photo) == reply


def test_a_score_in_words_is_no_number(served: Served, photo: Path) -> None:
    served.replies(
        b'{"label": "cup", "score": "high", "candidates": [{"label": "a", "score": NaN}]}'
    )
    reply = Endpoint(served.url)(photo)
    assert reply.score is not None
    assert math.isnan(reply.score)
    assert math.isnan(reply.candidates[0][1])


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        ({"label": "x"}, 500, "status 500"),
        ({"label": "x"}, 302, "status 302"),
        (b"<html>", 200, "no JSON"),
        (b"[" * 100_000, 200, "no JSON"),
        ([1, 2], 200, "a list"),
        ({"candidates": [3]}, 200, "candidate without a label"),
        (b" " * 5000, 200, "more than 4,096 bytes"),
    ],
)
def test_answers_that_cannot_be_read(
    served: Served, photo: Path, data: Any, status: int, words: str
) -> None:
    served.replies(data, status)
    most = 4096 if "4,096" in words else 1 << 20
    with pytest.raises(FetchError, match=words) as caught:
        Endpoint(served.url, most=most)(photo)
    assert "secret" not in str(caught.value)


def test_an_answer_that_drips_is_cut_off(served: Served, photo: Path) -> None:
    done = threading.Event()

    def drip(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not done.wait(0.02):
            try:
                handler.wfile.write(b" ")
                handler.wfile.flush()
            except OSError:
                return

    served.answer = drip
    with pytest.raises(FetchError, match="not done after"):
        Endpoint(served.url, seconds=0.3)(photo)
    done.set()


def test_nobody_at_home(photo: Path) -> None:
    with pytest.raises(FetchError, match="Check that it is running"):
        Endpoint("http://127.0.0.1:9/")(photo)


@pytest.mark.parametrize(
    "url", ["ftp://host/", "host/path", "http://", "http://h:port/", "http://[::1/", ""]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(SettingError, match="endpoint"):
        Endpoint(url)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_seconds_that_are_none(seconds: float) -> None:
    with pytest.raises(SettingError, match="above 0"):
        Endpoint("http://h/", seconds=seconds)


def test_an_address_is_evaluated(served: Served, tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        place = tmp_path / "asked.png"
        place.write_bytes(body)
        reply = knows(place)
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(json.dumps({"label": reply.label, "score": reply.score}).encode())

    served.answer = answer
    found = evaluate_callable(dataset(tmp_path), Endpoint(served.url))
    assert found.rates["tpir"].value == 1.0
    assert found.rates["fpir"].value == 0.0
    assert len(served.seen) == 12
