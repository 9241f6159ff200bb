"""What an attacker may try: without the token, from another site, through another name, with odd requests."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import aiohttp
import pytest

from stall_then_strike.app.web.guard import MOST_BYTES, SOCKET
from tests.app.web.console_rig import TOKEN, Console, console

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console whose log has a line of an attacker, and no run."""
    folder = tmp_path_factory.mktemp("attacked")
    (folder / "logs/runtime").mkdir(parents=True)
    (folder / "logs/runtime/app.log").write_text(
        "2026-11-30 19:41:20.000Z | WARNING  | refused: <script>alert(1)</script> ${7*7} </html>\n"
    )
    with console(folder / "logs", folder / "console", "--allow-host", "trader.example") as running:
        yield running


Answer = tuple[int, dict[str, str], str]


def ask(shown: Console, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
    """One request, its path as it stands; underscores in header names are hyphens."""
    line = http.client.HTTPConnection("127.0.0.1", shown.port, timeout=20)
    try:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        line.request(method, path, body, given)
        answer = line.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        line.close()


def enter(shown: Console, token: str = TOKEN, **headers: str) -> Answer:
    given = {**FORM, "origin": shown.address, **headers}
    return ask(shown, "POST", "/login", f"token={token.replace(' ', '+')}", **given)


@pytest.fixture(scope="module")
def cookie(shown: Console) -> str:
    status, headers, _ = enter(shown)
    assert (status, headers["location"]) == (303, "/")
    name, *traits = headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(traits)
    return name


@pytest.mark.parametrize("path", ["/", "/log", "/results", "/why?at=now"])
def test_pages_send_who_is_not_logged_in_to_the_door(shown: Console, path: str) -> None:
    assert ask(shown, "GET", path)[1]["location"] == "/login"


@pytest.mark.parametrize("path", ["/metrics", "/_nicegui/3.18.0/static/nicegui.js", "/logout"])
def test_nothing_else_answers_without_a_login(shown: Console, path: str) -> None:
    assert ask(shown, "GET", path)[0] == 401
    assert ask(shown, "GET", path, cookie=f"{shown.cookie}=made-up")[0] == 401


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", "https://trader.example.evil"]
)
def test_a_post_of_another_site_is_refused(shown: Console, cookie: str, origin: str) -> None:
    assert ask(shown, "POST", "/logout", "", origin=origin, cookie=cookie)[0] == 403
    assert enter(shown, origin=origin)[0] == 403


def test_a_post_without_origin_is_refused(shown: Console, cookie: str) -> None:
    assert ask(shown, "POST", "/logout", "", cookie=cookie)[0] == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8787", "127.0.0.1.evil.example", "", "localhost@evil"])
def test_another_name_for_this_machine_is_refused(shown: Console, cookie: str, host: str) -> None:
    assert ask(shown, "GET", "/", host=host, cookie=cookie)[0] == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "trader.example", "TRADER.example:443", "[::1]:8787"])
def test_a_tunnel_may_ask_by_its_name_and_port(shown: Console, cookie: str, host: str) -> None:
    assert ask(shown, "GET", "/", host=host, cookie=cookie)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/_nicegui/3.18.0/static/../../../etc/passwd",
        "/_nicegui/3.18.0/static/%2e%2e/%2e%2e/%2e%2e/pyproject.toml",
        "/_nicegui/3.18.0/static/..%2f..%2fclient.py",
        "/_nicegui/3.18.0/resources/x/..%5c..%5cclient.py",
        "/.env",
        "/openapi.json",
        "/docs",
    ],
)
def test_no_path_leads_out(shown: Console, cookie: str, path: str) -> None:
    status, _, text = ask(shown, "GET", path, cookie=cookie)
    assert (status, text) == (404, "nothing here\n")


def test_large_bodies_are_not_read(shown: Console) -> None:
    many = {**FORM, "origin": shown.address}
    assert ask(shown, "POST", "/login", "token=" + "x" * MOST_BYTES, **many)[0] == 413
    assert ask(shown, "POST", "/login", None, **many, transfer_encoding="chunked")[0] in (400, 411)
    assert ask(shown, "POST", "/login", None, **many, content_length="99999999999999999999999")[0] in (400, 413)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_refused(shown: Console, cookie: str, method: str) -> None:
    assert ask(shown, method, "/", cookie=cookie, origin=shown.address)[0] == 405


def test_no_header_comes_of_what_was_asked(shown: Console, cookie: str) -> None:
    asked = "/prefer?language=ja%0d%0aset-cookie:%20x=y&theme=dark&back=//evil.example/%0d%0ax:y"
    status, headers, _ = ask(shown, "GET", asked, cookie=cookie)
    assert (status, headers["location"]) == (303, "/")
    assert headers["set-cookie"].startswith("sts_theme=dark;")
    odd = {"x_forwarded_prefix": "/evil</script>", "accept": "text/markdown"}
    _, headers, page = ask(shown, "GET", "/", cookie=cookie, **odd)
    assert "evil" not in page
    assert headers["content-type"].startswith("text/html")


def test_pages_bind_the_browser(shown: Console, cookie: str) -> None:
    _, headers, page = ask(shown, "GET", "/", cookie=cookie)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert page.count("<script") == page.count("<script nonce=")
    assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


def test_text_of_the_log_is_text(shown: Console, cookie: str) -> None:
    _, _, page = ask(shown, "GET", "/log", cookie=cookie)
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "${7" not in page  # the page is a template literal of JavaScript


def test_no_secret_is_shown(shown: Console, cookie: str) -> None:
    for path in ("/", "/log", "/login", "/results"):
        page = ask(shown, "GET", path, cookie=cookie)[2]
        assert TOKEN not in page
        assert cookie.partition("=")[2] not in page


def test_two_hosts_are_one_too_many(shown: Console) -> None:
    with socket.create_connection(("127.0.0.1", shown.port), timeout=20) as line:
        line.sendall(b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert line.recv(100).split()[1] in (b"400", b"421")


async def test_sockets_need_the_login_and_the_page_itself(shown: Console, cookie: str) -> None:
    address = f"{shown.address}{SOCKET}?EIO=4&transport=websocket"
    async with aiohttp.ClientSession() as session:
        for headers in (
            {"origin": shown.address},
            {"origin": shown.address, "cookie": f"{shown.cookie}=made-up"},
            {"cookie": cookie},
            {"cookie": cookie, "origin": "http://evil.example"},
            {"cookie": cookie, "origin": shown.address, "host": "evil.example"},
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(address, headers=headers)
            assert refused.value.status == 403
        async with session.ws_connect(address, headers={"cookie": cookie, "origin": shown.address}) as line:
            assert (await line.receive_str()).startswith("0{")
        polled = f"{shown.address}{SOCKET}?EIO=4&transport=polling"
        async with session.get(polled) as answer:
            assert answer.status == 401 or answer.status == 404


async def test_a_session_that_has_ended_closes_its_sockets(shown: Console) -> None:
    _, headers, _ = enter(shown)
    own = headers["set-cookie"].split(";")[0]
    address = f"{shown.address}{SOCKET}?EIO=4&transport=websocket"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(address, headers={"cookie": own, "origin": shown.address}) as line,
    ):
        await line.receive()
        assert ask(shown, "POST", "/logout", "", origin=shown.address, cookie=own)[0] == 303
        await line.send_str("40")
        while (message := await line.receive()).type is aiohttp.WSMsgType.TEXT:
            assert not message.data.startswith("40{")
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    assert ask(shown, "GET", "/", cookie=own)[1]["location"] == "/login"


def test_metrics_take_the_token_as_a_bearers(shown: Console) -> None:
    assert ask(shown, "GET", "/metrics", authorization=f"Bearer {TOKEN}")[0] == 503  # there is no run
    assert ask(shown, "GET", "/", authorization=f"Bearer {TOKEN}")[1]["location"] == "/login"


def test_wrong_tokens_are_refused_and_soon_not_looked_at(shown: Console) -> None:
    assert [enter(shown, f"wrong-{number}")[0] for number in range(5)] == [401] * 5
    status, headers, page = enter(shown)
    assert (status, "set-cookie" in headers) == (429, False), "the right one is not looked at either"
    assert "Too many wrong tokens" in page
    assert ask(shown, "GET", "/metrics", authorization=f"Bearer {TOKEN}")[0] == 503, "another door"
