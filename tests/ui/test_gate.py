"""Who may talk to the server: plain ASGI calls, no browser and no network."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from meshcli.ui import gate as gates
from meshcli.ui.gate import COOKIE, Gate, address

TOKEN, PASSWORD = "a-token-of-some-length", "correct horse"
OWN = (b"host", b"127.0.0.1:8765")
PASS = (b"cookie", f"{COOKIE}={TOKEN}".encode())


@dataclass
class Inner:
    """The application behind the gate: reads the whole body, and answers."""

    calls: list[str] = field(default_factory=list)
    body: bytes = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append(scope["type"])
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        more = scope["type"] == "http"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError
            self.body += message.get("body", b"")
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"secret"})


def ask(
    gate: Gate,
    headers: Sequence[tuple[bytes, bytes]] = (OWN, PASS),
    path: str = "/",
    query: str = "",
    method: str = "GET",
    body: Sequence[bytes] = (b"",),
    kind: str = "http",
) -> list[dict[str, Any]]:
    """What the gate sends for a request."""
    parts = list(body)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if kind == "websocket":
            return {"type": "websocket.connect"}
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": kind, "path": path, "query_string": query.encode(), "method": method, "headers": list(headers),
    }  # fmt: skip
    asyncio.run(gate(scope, receive, send))
    return sent


def status(sent: Sequence[dict[str, Any]]) -> int:
    (start,) = (message for message in sent if message["type"] == "http.response.start")
    return int(start["status"])


def header(sent: Sequence[dict[str, Any]], name: bytes) -> bytes:
    return dict(sent[0]["headers"]).get(name, b"")


@pytest.fixture
def inner() -> Inner:
    return Inner()


@pytest.fixture
def gate(inner: Inner) -> Gate:
    return Gate(inner, TOKEN)


@pytest.fixture
def asking(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> Gate:
    monkeypatch.setattr(gates, "WRONG_SECONDS", 0.0)
    return Gate(inner, TOKEN, PASSWORD)


@pytest.mark.parametrize("host", [b"127.0.0.1", b"localhost:8765", b"LOCALHOST:1", b"[::1]:8765"])
def test_our_own_page_is_let_through(host: bytes, gate: Gate) -> None:
    sent = ask(gate, [(b"host", host), PASS, (b"origin", b"http://" + host), (b"sec-fetch-site", b"same-origin")])
    assert status(sent) == 200
    assert header(sent, b"x-content-type-options") == b"nosniff"
    assert b"frame-ancestors 'self'" in header(sent, b"content-security-policy")


HOSTILE = {
    "another host": [(b"host", b"evil.example:8765"), PASS],
    "a name that begins like ours": [(b"host", b"127.0.0.1.evil.example"), PASS],
    "another address of this machine": [(b"host", b"192.168.0.4:8765"), PASS],
    "a user before our name": [(b"host", b"evil@localhost"), PASS],
    "no host": [PASS],
    "two hosts": [OWN, (b"host", b"evil.example"), PASS],
    "a port that is none": [(b"host", b"localhost:x"), PASS],
    "another origin": [OWN, PASS, (b"origin", b"http://evil.example")],
    "our address with another port": [OWN, PASS, (b"origin", b"http://127.0.0.1:9999")],
    "a hidden origin": [OWN, PASS, (b"origin", b"null")],
    "two origins": [OWN, PASS, (b"origin", b"http://127.0.0.1:8765"), (b"origin", b"http://evil.example")],
    "a picture in a page of another site": [OWN, PASS, (b"sec-fetch-site", b"cross-site")],
    "a picture in a page on another port": [OWN, PASS, (b"sec-fetch-site", b"same-site")],
    "no cookie": [OWN],
    "a wrong cookie": [OWN, (b"cookie", f"{COOKIE}={TOKEN}x".encode())],
    "an empty cookie": [OWN, (b"cookie", f"{COOKIE}=".encode())],
    "a cookie of another name": [OWN, (b"cookie", f"other={TOKEN}".encode())],
    "a cookie that is none": [OWN, (b"cookie", b"\xff\x00;=;,")],
}


@pytest.mark.parametrize("headers", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_others_get_nothing(headers: list[tuple[bytes, bytes]], kind: str, gate: Gate, inner: Inner) -> None:
    sent = ask(gate, headers, kind=kind)
    assert inner.calls == []
    if kind == "websocket":
        assert sent == [{"type": "websocket.close", "code": 1008}]
    else:
        assert status(sent) == 403
        assert TOKEN.encode() not in b"".join(message.get("body", b"") for message in sent)
        assert header(sent, b"set-cookie") == b""


def test_a_websocket_of_our_page_is_let_through(gate: Gate) -> None:
    sent = ask(gate, [OWN, PASS, (b"origin", b"http://127.0.0.1:8765")], kind="websocket")
    assert sent == [{"type": "websocket.accept"}]


def test_the_printed_address_sets_a_cookie_that_opens_the_page(gate: Gate, inner: Inner) -> None:
    sent = ask(gate, [OWN, (b"sec-fetch-site", b"none")], query=f"token={TOKEN}")
    cookie = header(sent, b"set-cookie").decode()
    assert status(sent) == 200
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert inner.calls == []
    assert header(sent, b"referrer-policy") == b"same-origin"
    assert status(ask(gate, [OWN, (b"cookie", cookie.partition(";")[0].encode())])) == 200
    assert inner.calls == ["http"]


@pytest.mark.parametrize(
    ("path", "method", "query"),
    [
        ("/", "GET", "token=wrong"),
        ("/", "GET", "token="),
        ("/", "POST", f"token={TOKEN}"),
        ("/project/mesh", "GET", f"token={TOKEN}"),
    ],
)
def test_a_token_opens_nothing_else(path: str, method: str, query: str, gate: Gate, inner: Inner) -> None:
    assert status(ask(gate, [OWN], path, query, method)) == 403
    assert inner.calls == []


def test_a_body_is_counted_whatever_its_length_is_said_to_be(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "MAX_BODY", 100)
    monkeypatch.setattr(gates, "MAX_UPLOAD", 1000)
    assert status(ask(gate, body=[b"x" * 50, b"x" * 50], method="POST")) == 200
    assert status(ask(gate, body=[b"x" * 50, b"x" * 51, b"x" * 10**6], method="POST")) == 413
    assert status(ask(gate, [OWN, PASS, (b"content-length", b"3")], body=[b"x" * 101], method="POST")) == 413
    assert status(ask(gate, [OWN, PASS, (b"content-length", b"101")], method="POST")) == 413
    upload = "/_nicegui/client/1/upload/2"
    assert status(ask(gate, path=upload, body=[b"x" * 1000], method="POST")) == 200
    assert status(ask(gate, path=upload, body=[b"x" * 1001], method="POST")) == 413


def test_a_password_opens_the_page(asking: Gate, inner: Inner) -> None:
    assert status(ask(asking, [OWN])) == 401
    assert status(ask(asking, [OWN], query=f"token={TOKEN}")) == 401  # it is for pages without a password
    assert status(ask(asking, [OWN], "/project/mesh")) == 403
    assert ask(asking, [OWN], kind="websocket") == [{"type": "websocket.close", "code": 1008}]
    wrong = ask(asking, [OWN], "/login", method="POST", body=[b"password=wrong"])
    assert (status(wrong), header(wrong, b"set-cookie")) == (403, b"")
    right = ask(asking, [OWN], "/login", method="POST", body=[b"password=correct", b"+horse"])
    assert status(right) == 200
    cookie = header(right, b"set-cookie").partition(b";")[0]
    assert PASSWORD.encode() not in cookie
    assert inner.calls == []
    assert status(ask(asking, [OWN, (b"cookie", cookie)])) == 200


def test_passwords_cannot_be_tried_without_end(asking: Gate) -> None:
    for _ in range(gates.MAX_TRIES):
        assert status(ask(asking, [OWN], "/login", method="POST", body=[b"password=wrong"])) == 403
    assert status(ask(asking, [OWN], "/login", method="POST", body=[b"password=correct+horse"])) == 429
    asking._locked_until = 0.0
    assert status(ask(asking, [OWN], "/login", method="POST", body=[b"password=correct+horse"])) == 200


def test_a_form_without_end_is_not_read(asking: Gate) -> None:
    body = [b"password=correct+horse&x=" + b"x" * 3000, b"x" * 3000, b"x" * 3000]
    assert status(ask(asking, [OWN], "/login", method="POST", body=body)) == 403


@pytest.mark.parametrize(
    ("host", "allowed"), [(b"192.168.0.4:8765", True), (b"workshop:8765", True), (b"evil.example", False)]
)
def test_elsewhere_names_must_be_this_machines(host: bytes, allowed: bool, inner: Inner) -> None:
    gate = Gate(inner, TOKEN, PASSWORD, frozenset({"workshop"}), everywhere=True)
    assert status(ask(gate, [(b"host", host), PASS])) == (200 if allowed else 403)


def test_addresses() -> None:
    assert address("127.0.0.1", 8765, "abc") == "http://127.0.0.1:8765/?token=abc"
    assert address("::1", 80) == "http://[::1]:80/"
