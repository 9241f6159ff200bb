"""The paths that are no pages of NiceGUI: log in and out, language and colours, the style, figures for Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from stall_then_strike.app.control.metrics_text import CONTENT_TYPE, metrics_text
from stall_then_strike.app.web.drawing.console_words import LANGUAGES, Words, language_of
from stall_then_strike.app.web.drawing.markup import Html, joined, tag
from stall_then_strike.app.web.guard import METRICS, PAGES
from stall_then_strike.app.web.poller import Poller
from stall_then_strike.app.web.sessions import LIFE_S, Door, Sessions
from stall_then_strike.infra.clock import Clock

THEMES: Final = ("auto", "light", "dark")
_LANGUAGE, _THEME = "sts_language", "sts_theme"
_YEAR_S: Final = 365 * 86_400
STYLE: Final = Path(__file__).with_name("console.css")


def words_of(request: Request) -> Words:
    """The texts in the language of who asks."""
    return Words(language_of(request.cookies.get(_LANGUAGE, ""), request.headers.get("accept-language", "")))


def theme_of(request: Request) -> str:
    """The colours that were chosen."""
    theme = request.cookies.get(_THEME, "")
    return theme if theme in THEMES else THEMES[0]


def choices(words: Words, theme: str, back: str) -> Html:
    """Links that switch language and colours."""

    def choice(what: str, name: str, text: str, chosen: str, lang: str | None = None) -> Html:
        current = "true" if name == chosen else None
        return tag("a", text, href=f"/prefer?{what}={name}&back={back}", lang=lang, aria_current=current)

    languages = (choice("language", code, name, words.language, code) for code, name in LANGUAGES.items())
    themes = (choice("theme", name, words(f"theme.{name}"), theme) for name in THEMES)
    return joined((tag("span", *languages), tag("span", *themes, title=words("theme"))))


class FrontDoor:
    """Lets people in."""

    def __init__(self, sessions: Sessions, poller: Poller, clock: Clock, cookie: str) -> None:
        """``cookie`` is the name of the session's."""
        self._sessions, self._poller, self._clock, self._cookie = sessions, poller, clock, cookie
        self._style = STYLE.read_bytes()

    def routes(self) -> list[Route]:
        """All paths."""
        asked: tuple[tuple[str, Callable[[Request], object], str], ...] = (
            ("/login", self._login, "GET"),
            ("/login", self._enter, "POST"),
            ("/logout", self._leave, "POST"),
            ("/prefer", self._prefer, "GET"),
            ("/console.css", self._look, "GET"),
            (METRICS, self._metrics, "GET"),
        )
        return [Route(path, answer, methods=[method]) for path, answer, method in asked]

    async def _login(self, request: Request) -> Response:
        return self._form(request, "", 200)

    def _form(self, request: Request, wrong: str, status: int) -> Response:
        words, theme = words_of(request), theme_of(request)
        field = tag(
            "input",
            cls="field",
            type="password",
            name="token",
            id="token",
            autocomplete="current-password",
            required="",
            autofocus="",
            maxlength=256,
        )
        form = tag(
            "form",
            tag("h1", words("title")),
            tag("label", words("login.token"), field, for_="token"),
            tag("p", wrong, cls="wrong", role="alert") if wrong else "",
            tag("button", words("login"), cls="act go", type="submit"),
            tag("p", words("login.hint")),
            tag("nav", choices(words, theme, "/login")),
            method="post",
            action="/login",
        )
        head = tag(
            "head",
            Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
            tag("title", f"{words('login')} · {words('title')}"),
            Html('<link rel="stylesheet" href="/console.css">'),
        )
        body = tag("body", tag("main", form, cls=f"door theme-{theme}"))
        page = tag("html", head, body, lang=words.language)
        return HTMLResponse(f"<!doctype html>{page}", status, {"cache-control": "no-store"})

    async def _enter(self, request: Request) -> Response:
        words, now_ns = words_of(request), self._clock.now_ns()
        if seconds := self._sessions.wait_s(Door.LOGIN, now_ns):
            return self._form(request, words("login.wait", seconds=seconds), 429)
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        if not self._sessions.is_token(form.get("token", [""])[0], Door.LOGIN, now_ns):
            return self._form(request, words("login.wrong"), 401)
        answer = RedirectResponse("/", 303)
        name = self._sessions.begin(now_ns)
        answer.set_cookie(self._cookie, name, max_age=LIFE_S, httponly=True, samesite="strict")
        return answer

    async def _leave(self, request: Request) -> Response:
        self._sessions.end(request.cookies.get(self._cookie, ""))
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(self._cookie, httponly=True, samesite="strict")
        return answer

    async def _prefer(self, request: Request) -> Response:
        asked, back = request.query_params, urlsplit(request.query_params.get("back", "/")).path
        answer = RedirectResponse(back if back in PAGES | {"/login"} else "/", 303)
        for cookie, value, known in (
            (_LANGUAGE, asked.get("language", ""), tuple(LANGUAGES)),
            (_THEME, asked.get("theme", ""), THEMES),
        ):
            if value in known:
                answer.set_cookie(cookie, value, max_age=_YEAR_S, httponly=True, samesite="strict")
        return answer

    async def _look(self, request: Request) -> Response:
        return Response(self._style, media_type="text/css", headers={"cache-control": "no-cache"})

    async def _metrics(self, request: Request) -> Response:
        seen = self._poller.seen
        if seen.snapshot is None or seen.problem:
            return PlainTextResponse("no run answers\n", 503)
        return Response(metrics_text(seen.snapshot), headers={"content-type": CONTENT_TYPE})
