"""Fetching from real local servers: what is refused, cut off and passed on."""

from __future__ import annotations

import contextlib
import http.server
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kenspeckle.config import ImageSettings
from kenspeckle.errors import FetchError
from kenspeckle.image import fetch as fetch_module
from kenspeckle.image.address import Allowed, is_public
from kenspeckle.image.fetch import fetch, without_secrets

BODY = b"\xff\xd8\xff not really a picture"
OPEN = ImageSettings(fetch_private=True, fetch_timeout=30.0, max_bytes=100_000)


class Pages(http.server.BaseHTTPRequestHandler):
    """One page for each way an answer can go wrong."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Host"), dict(self.headers)))
        name = self.path.partition("?")[0].strip("/").replace("-", "_")
        with contextlib.suppress(OSError):  # the client hangs up early, as it should
            getattr(self, f"page_{name}", self.page_missing)()
        self.close_connection = True

    def answer(self, status: int = 200, body: bytes = BODY, **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def page_ok(self) -> None:
        self.answer(Content_Type="text/plain")

    def page_missing(self) -> None:
        self.answer(404)

    def page_hop(self) -> None:
        self.answer(302, b"", Location="/ok")

    def page_loop(self) -> None:
        self.answer(301, b"", Location="/loop")

    def page_nowhere(self) -> None:
        self.answer(302, b"")

    def page_to_file(self) -> None:
        self.answer(302, b"", Location="file:///etc/passwd")

    def page_to_private(self) -> None:
        port = self.server.server_address[1]
        self.answer(302, b"", Location=f"http://127.0.0.1:{port}/ok")

    def page_announced(self) -> None:
        self.answer(200, b"", Content_Length="999999999")

    def page_packed(self) -> None:
        self.answer(Content_Encoding="gzip")

    def page_cut(self) -> None:
        self.answer(200, BODY, Content_Length=str(len(BODY) + 9))

    def page_endless(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            self.wfile.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")

    def page_endless_headers(self) -> None:
        while True:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def page_slow(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.trickle(b"x")

    def page_slow_headers(self) -> None:
        self.trickle(b"H")

    def trickle(self, byte: bytes) -> None:
        for _ in range(1200):
            self.wfile.write(byte)
            self.wfile.flush()
            time.sleep(0.05)

    def page_junk(self) -> None:
        self.wfile.write(b"\0\1\2\3 this is not http\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(("127.0.0.1", 0), Pages)
    running.seen = []
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def at(server: Server, path: str, host: str = "127.0.0.1") -> str:
    return f"http://{host}:{server.server_address[1]}{path}"


def test_body_comes_back_whatever_type_it_claims(server: Server) -> None:
    assert fetch(at(server, "/ok"), OPEN) == BODY
    _, host, headers = server.seen[0]
    assert host == f"127.0.0.1:{server.server_address[1]}"
    assert headers["Accept-Encoding"] == "identity"


def test_redirects_are_followed(server: Server) -> None:
    assert fetch(at(server, "/hop"), OPEN) == BODY
    assert [path for path, *_ in server.seen] == ["/hop", "/ok"]


def test_odd_characters_are_escaped_and_escapes_kept(server: Server) -> None:
    assert fetch(at(server, "/ok?q=a b%20ü"), OPEN) == BODY
    assert server.seen[0][0] == "/ok?q=a%20b%20%C3%BC"


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("/none", "status 404"),
        ("/loop", "more than 5 redirects"),
        ("/nowhere", "redirect to nowhere"),
        ("/to-file", "scheme 'file'"),
        ("/announced", "999999999 bytes"),
        ("/endless", "more than 100000 bytes"),
        ("/packed", "compressed"),
        ("/cut", "cut off"),
        ("/junk", "not HTTP"),
    ],
)
def test_bad_answers_are_refused(server: Server, page: str, said: str) -> None:
    with pytest.raises(FetchError, match=said) as caught:
        fetch(at(server, page), OPEN)
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("page", ["/slow", "/slow-headers", "/endless-headers"])
def test_trickling_answers_are_cut_off(server: Server, page: str) -> None:
    limits = ImageSettings(fetch_private=True, fetch_timeout=0.4)
    start = time.monotonic()
    with pytest.raises(FetchError, match=r"within 0\.4 s"):
        fetch(at(server, page), limits)
    assert time.monotonic() - start < 30.0


def test_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(FetchError, match="no whole answer"):
            fetch(url, ImageSettings(fetch_private=True, fetch_timeout=0.3))


def test_slow_resolver_is_given_up() -> None:
    release = threading.Event()

    def slow(host: str, port: int) -> list[str]:
        release.wait(10)
        return []

    with pytest.raises(FetchError, match="no whole answer"):
        fetch("http://example.com/", ImageSettings(fetch_timeout=0.2), resolver=slow)
    release.set()


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0.0.0.0"],
)
def test_private_addresses_are_refused(server: Server, host: str) -> None:
    with pytest.raises(FetchError):
        fetch(at(server, "/ok", host), ImageSettings(fetch_timeout=2))
    assert server.seen == []


def test_name_with_one_private_address_is_refused(server: Server) -> None:
    with pytest.raises(FetchError, match=r"is at 10\.0\.0\.8"):
        fetch(
            at(server, "/ok", "mixed.example"),
            ImageSettings(),
            resolver=lambda host, port: ["9.9.9.9", "10.0.0.8"],
        )


def test_redirect_to_a_private_address_is_refused(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first hop is let through as if it were public; the redirect is judged as always."""
    monkeypatch.setattr(fetch_module, "is_public", lambda a: a == "127.0.0.2" or is_public(a))
    answers = {"shop.example": ["127.0.0.2"], "127.0.0.1": ["127.0.0.1"]}
    local = Server(("127.0.0.2", 0), Pages)
    local.seen = []
    thread = threading.Thread(target=local.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with pytest.raises(FetchError, match="/ok: a private or reserved address; expected"):
            fetch(
                at(local, "/to-private", "shop.example"),
                ImageSettings(),
                resolver=lambda host, port: answers[host],
            )
        assert [path for path, *_ in local.seen] == ["/to-private"]
        assert local.seen[0][1] == f"shop.example:{local.server_address[1]}"
    finally:
        local.shutdown()
        local.server_close()
        thread.join()


def test_name_is_resolved_once_a_hop(server: Server) -> None:
    asked = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    assert fetch(at(server, "/hop", "cdn.example"), OPEN, resolver=rebinding) == BODY
    assert asked == ["cdn.example", "cdn.example"]


def test_dead_address_is_passed_over(server: Server) -> None:
    url = at(server, "/ok", "two.example")
    assert fetch(url, OPEN, resolver=lambda h, p: ["127.0.0.3", "127.0.0.1"]) == BODY


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/a.jpg",
        "gopher://example.com/",
        "data:image/png;base64,AAAA",
        "//example.com/a.jpg",
        "http://",
        "http:///a.jpg",
        "http://[::1",
        "http://example.com:99999/",
        "http://example.com:port/",
        "http://exa mple.com/",
        "http://example.com\r\nX: y/",
        "http://127.0.0.1:1/\r\nX-Y: z",
        "a.jpg",
        "",
    ],
)
def test_other_schemes_and_broken_addresses_are_refused(url: str) -> None:
    with pytest.raises(FetchError):
        fetch(url, OPEN)


@pytest.mark.parametrize(
    ("url", "shown", "found"),
    [
        ("", "empty address", "no scheme"),
        (" ", "empty address", "no scheme"),
        ("not a url", "not an address", "no scheme"),
        ("//example.com/a.jpg", "not an address", "no scheme"),
        ("secret:AAAA", "not an address", "another scheme"),
        ("http://[secret", "not an address", "it cannot be read"),
        ("http://example.com:secret/", "not an address", "it cannot be read"),
        ("http:///secret.jpg", "address without a host", "no host"),
        ("https:?secret", "address without a host", "no host"),
        ("file:///etc/secret", "file address", "scheme 'file'"),
        ("DATA:image/png;base64,secret", "data address", "scheme 'data'"),
        ("gopher://example.com/a", "gopher://example.com/a", "scheme 'gopher'"),
    ],
)
def test_what_is_no_address_is_told_in_words_without_its_content(
    url: str, shown: str, found: str
) -> None:
    assert without_secrets(url) == shown
    with pytest.raises(FetchError) as raised:
        fetch(url, OPEN)
    assert str(raised.value).startswith(f"{shown}: {found}; expected http:// or https://")
    assert "secret" not in str(raised.value)


def test_unknown_host_is_refused() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(FetchError, match="Name or service not known"):
        fetch("http://nosuch.example/", OPEN, resolver=unknown)
    with pytest.raises(FetchError, match="no such host"):
        fetch("http://nosuch.example/", OPEN, resolver=lambda h, p: [])
    with pytest.raises(FetchError):
        fetch(f"http://{'a' * 70}.example/", OPEN)


@pytest.mark.parametrize(
    ("rule", "host", "fetched"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("cdn.example", "cdn.example", True),
        (".example", "cdn.example", True),
        (".example", "badexample", False),
        ("cdn.example", "other.example", False),
        ("CDN.example.", "cdn.example", True),
        ("bücher.example", "xn--bcher-kva.example", True),
        (".xn--bcher-kva.example", "a.bücher.example", True),
    ],
)
def test_allow_list(server: Server, rule: str, host: str, fetched: bool) -> None:
    limits = ImageSettings(fetch_private=True, fetch_allow=(rule,))
    url = at(server, "/ok", host)
    if fetched:
        assert fetch(url, limits, resolver=lambda h, p: ["127.0.0.1"]) == BODY
    else:
        with pytest.raises(FetchError, match="not allowed"):
            fetch(url, limits, resolver=lambda h, p: ["127.0.0.1"])


@pytest.mark.parametrize(
    ("rules", "address", "fetched"),
    [
        (("127.0.0.0/8",), "127.0.0.1", True),
        (("127.0.0.1/32", "public"), "127.0.0.1", True),
        (("10.0.0.0/8",), "127.0.0.1", False),
        (("10.0.0.0/8", "public"), "127.0.0.1", False),
        (("10.0.0.0/8", "a.example"), "127.0.0.1", False),
        (("127.0.0.1",), "127.0.0.1", True),
        (("127.0.0.2",), "127.0.0.1", False),
        (("127.0.0.2", "public"), "127.0.0.1", False),
        (("public",), "127.0.0.1", False),
    ],
)
def test_a_range_on_the_allow_list_opens_what_is_in_it(
    server: Server, rules: tuple[str, ...], address: str, fetched: bool
) -> None:
    limits = ImageSettings(fetch_allow=rules)
    url = at(server, "/ok", "a.example")
    if fetched:
        assert fetch(url, limits, resolver=lambda h, p: [address]) == BODY
    else:
        with pytest.raises(FetchError):
            fetch(url, limits, resolver=lambda h, p: [address])


@pytest.mark.parametrize(
    ("rule", "address", "inside"),
    [
        ("10.1.0.0/16", "10.1.255.255", True),
        ("10.1.0.0/16", "10.2.0.0", False),
        ("10.1.0.0/16", "::ffff:10.1.2.3", True),
        ("::1/128", "::1", True),
        ("::1", "::1", True),
        ("::1", "::2", False),
        ("10.1.2.3", "::ffff:10.1.2.3", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("fd00::/8", "fd12::1%eth0", True),
        ("fd00::/8", "10.0.0.1", False),
        ("10.1.0.0/16", "nothing", False),
    ],
)
def test_ranges(rule: str, address: str, inside: bool) -> None:
    assert Allowed.read([rule]).address(address) is inside


@pytest.mark.parametrize(
    "url", ["http://ann:s3cret@127.0.0.1:9/a?key=s3cret#s3cret", "ftp://s3cret@h/"]
)
def test_errors_tell_no_secret(url: str) -> None:
    with pytest.raises(FetchError) as caught:
        fetch(url, OPEN)
    assert "s3cret" not in str(caught.value)


def test_failed_fetch_tells_no_query(server: Server) -> None:
    with pytest.raises(FetchError) as caught:
        fetch(at(server, "/none?token=s3cret"), OPEN)
    assert "s3cret" not in str(caught.value)
    assert "/none" in str(caught.value)


def test_proxies_of_the_environment_are_not_used(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fetch(at(server, "/ok"), OPEN) == BODY


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("9.9.9.9", True),
        ("2606:4700::1111", True),
        ("127.8.8.8", False),
        ("10.1.2.3", False),
        ("172.31.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("198.18.0.1", False),
        ("192.0.2.1", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("2001:db8::1", False),
        ("2001::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:9.9.9.9", True),
        ("::ffff:0:10.0.0.1", False),
        ("::127.0.0.1", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b::9.9.9.9", True),
        ("64:ff9b:1::9.9.9.9", False),
        ("2002:7f00:1::", False),
        ("2002:909:909::", True),
        ("nonsense", False),
        ("", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for shop.example that nobody vouches for, with its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs the program openssl to make a certificate")
    path = tmp_path / "shop.pem"
    made = subprocess.run(
        f"{program} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        " -subj /CN=shop.example -addext subjectAltName=DNS:shop.example"
        f" -keyout {path} -out {path}.crt".split(),
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("this openssl makes no such certificate")
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


def test_tls_checks_the_name_that_was_asked_for(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _, name, __: named.append(name)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = at(server, "/ok", "shop.example").replace("http:", "https:")

    def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    refused = r"certificate is not trusted \(self-signed certificate\); expected one for this host"
    with pytest.raises(FetchError, match=refused):
        fetch(url, OPEN, resolver=here)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(fetch_module, "_trust", ssl.create_default_context)
    assert fetch(url, OPEN, resolver=here) == BODY
    assert named == ["shop.example", "shop.example"]
    with pytest.raises(FetchError, match=r"not trusted \(Hostname mismatch"):
        fetch(url.replace("shop", "other"), OPEN, resolver=here)
