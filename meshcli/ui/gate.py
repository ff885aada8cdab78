"""Who may talk to the server: an ASGI application around another, for HTTP and WebSocket alike.

A page of another site can make a browser send requests to this machine. So the Host header must name this machine
(DNS rebinding), Origin and Sec-Fetch-Site, when sent, must be those of our own pages, and a cookie is needed, which
the token in the printed address, or the password, sets once. Everything else gets 403.
"""

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from secrets import compare_digest
from typing import Any
from urllib.parse import parse_qs, urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

COOKIE = "meshcli-ui"
LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
MAX_UPLOAD = 1 << 30  # bytes of one request that hands photos in
MAX_BODY = 16 << 20  # of any other: a mask is the largest
MAX_FORM = 4096  # of the password's form
MAX_TRIES, LOCKED_SECONDS, WRONG_SECONDS = 10, 60.0, 0.5  # wrong passwords in a row, and how long each makes wait
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # Vue compiles its templates in the browser
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' data:",
        "connect-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"same-origin"),  # the address may hold the token; without any, forms hide their origin
    (b"x-content-type-options", b"nosniff"),
)
PAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>meshcli</title>{head}
<body style="font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto; padding: 1rem">{body}</html>"""
REFUSED = "<h1>This page is closed</h1><p>Open it with the whole address that <code>meshcli ui</code> printed."
FORM = (
    '<h1>meshcli</h1><p role="status">{said}<form method="post" action="/login"><label>Password '
    '<input name="password" type="password" autofocus autocomplete="current-password"></label> <button>Open</button>'
    "</form>"
)


@dataclass
class Gate:
    """Lets those requests through to `inner` that come from our own pages; `names` are more names of this machine."""

    inner: Application
    token: str  # what the cookie holds
    password: str = ""  # empty: the token in the address opens the page
    names: frozenset[str] = frozenset()
    everywhere: bool = False  # listens on other addresses than this machine's own
    _wrong: int = field(default=0, init=False)  # passwords in a row
    _locked_until: float = field(default=0.0, init=False)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self.inner(scope, receive, send)
            return
        headers = _Headers(scope.get("headers", ()))
        if not self._is_own_host(headers) or not _is_own_page(headers):
            await self._refuse(scope, receive, send)
        elif self._has_cookie(headers):
            await self._pass_on(scope, receive, send, headers)
        elif self.password:
            await self._ask_password(scope, receive, send)
        elif self._has_token(scope):
            await self._answer(send, 200, PAGE.format(head=_GO, body="<p><a href='/'>Open the page</a>"), self._cookie)
        else:
            await self._refuse(scope, receive, send)

    def _is_own_host(self, headers: "_Headers") -> bool:
        """Whether the one Host header names this machine; elsewhere than locally, also by any address."""
        name = _host_name(headers.only("host"))
        if name in LOCAL_NAMES or name in self.names:
            return True
        return self.everywhere and _is_address(name)

    def _has_cookie(self, headers: "_Headers") -> bool:
        try:
            cookies = SimpleCookie("; ".join(headers.all("cookie")))
        except CookieError:
            return False
        return COOKIE in cookies and _same(cookies[COOKIE].value, self.token)

    def _has_token(self, scope: Message) -> bool:
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            return False
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        return any(_same(each, self.token) for each in query.get("token", ()))

    @property
    def _cookie(self) -> tuple[tuple[bytes, bytes], ...]:
        return ((b"set-cookie", f"{COOKIE}={self.token}; Path=/; HttpOnly; SameSite=Strict".encode()),)

    async def _pass_on(self, scope: Message, receive: Receive, send: Send, headers: "_Headers") -> None:
        limit = MAX_UPLOAD if "/upload/" in scope["path"] else MAX_BODY
        if headers.number("content-length") > limit:
            await self._answer(send, 413, "too large")
            return
        counted = _Counted(receive, send, limit)
        try:
            await self.inner(scope, counted.receive, counted.send)
        except Exception:
            if not counted.exceeded:  # else it is the end of the connection that the application saw
                raise

    async def _ask_password(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._refuse(scope, receive, send)
        elif (scope["method"], scope["path"]) != ("POST", "/login"):
            status = 401 if scope["path"] == "/" else 403
            await self._answer(send, status, PAGE.format(head="", body=FORM.format(said="")))
        elif self._wrong >= MAX_TRIES and time.monotonic() < self._locked_until:
            said = f"Too many wrong passwords; wait {LOCKED_SECONDS:.0f} seconds."
            await self._answer(send, 429, PAGE.format(head="", body=FORM.format(said=said)))
        elif _same(await _read_password(receive), self.password):
            self._wrong = 0
            await self._answer(send, 200, PAGE.format(head=_GO, body="<p><a href='/'>Open the page</a>"), self._cookie)
        else:
            self._wrong += 1
            self._locked_until = time.monotonic() + LOCKED_SECONDS
            await asyncio.sleep(WRONG_SECONDS)
            await self._answer(send, 403, PAGE.format(head="", body=FORM.format(said="That is not the password.")))

    async def _refuse(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._answer(send, 403, PAGE.format(head="", body=REFUSED))

    async def _answer(self, send: Send, status: int, text: str, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
        body = text.encode()
        headers = [
            (b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"), *HEADERS, *more,
        ]  # fmt: skip
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


# A page of ours that goes on: after a redirect a browser still counts the request as that of the page with the link.
_GO = '<meta http-equiv="refresh" content="0; url=/">'


class _Headers:
    """The headers of a request by lower-case name."""

    def __init__(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        self._rows = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in rows]

    def all(self, name: str) -> list[str]:
        return [value for each, value in self._rows if each == name]

    def only(self, name: str) -> str:
        """The value of a header that is sent once; empty where there is none, or several."""
        values = self.all(name)
        return values[0] if len(values) == 1 else ""

    def number(self, name: str) -> int:
        """The value as a number; 0 for anything else: the bytes are counted anyway."""
        text = self.only(name)
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0


@dataclass
class _Counted:
    """Counts the bytes of a request's body, and answers 413 when there are too many; adds headers to the answer."""

    inner_receive: Receive
    inner_send: Send
    limit: int
    exceeded: bool = False
    _bytes: int = 0
    _started: bool = False

    async def receive(self) -> Message:
        """The next part of the body; the end of the connection once there were too many."""
        if self.exceeded:
            return {"type": "http.disconnect"}
        message = await self.inner_receive()
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            if self._bytes > self.limit:
                if not self._started:
                    await self._answer_too_large()
                self.exceeded = True
                return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        """Pass an answer on, unless one was given."""
        if self.exceeded:
            return
        if message["type"] == "http.response.start":
            self._started = True
            message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
        await self.inner_send(message)

    async def _answer_too_large(self) -> None:
        headers = [(b"content-type", b"text/plain"), (b"connection", b"close"), *HEADERS]
        await self.inner_send({"type": "http.response.start", "status": 413, "headers": headers})
        await self.inner_send({"type": "http.response.body", "body": b"too large"})


def address(host: str, port: int, token: str = "") -> str:
    """The address of the page."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/{f'?token={token}' if token else ''}"


def _is_own_page(headers: _Headers) -> bool:
    """Whether a request, as far as it says, comes from a page of ours or from a person who typed the address."""
    origins, sites = headers.all("origin"), headers.all("sec-fetch-site")
    if any(site not in ("same-origin", "none") for site in sites):
        return False
    host = headers.only("host").lower()
    return all(origin.lower() in (f"http://{host}", f"https://{host}") for origin in origins)


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets, in lower case; empty for what is none."""
    if any(each in host for each in "/@?#\\ ,"):
        return ""
    try:
        parts = urlsplit(f"//{host}")
        return (parts.hostname or "") if parts.port is None or parts.port else ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same(one: str, other: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell how far they are."""
    return compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


async def _read_password(receive: Receive) -> str:
    """The password of a form; empty where it is none, or too long."""
    body, more = b"", True
    while more and len(body) <= MAX_FORM:
        message = await receive()
        if message["type"] != "http.request":
            return ""
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if len(body) > MAX_FORM:
        return ""
    return next(iter(parse_qs(body.decode("latin-1"), encoding="utf-8").get("password", ())), "")
