"""Sends requests to a server with OpenAI's interface, and again where that may help.

Nothing of the key is ever said: it is taken out of whatever a server sends back, and errors of the
client, which may hold it, are not passed on.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from raykd.errors import Problem, RaykdError, SetupError, TeacherError, shortened
from raykd.teachers.endpoint.requests import CHAT, Answer, Request

LONGEST_WAIT_S = 60.0
"""Between two attempts, unless the server asks for more."""
RETRIES_IF_DOWN = 2
"""How often the first request is sent again where no server is there."""
LONGEST_RETRY_AFTER_S = 300.0
"""What a server may ask for; one that asks for more is not waited for."""
_AGAIN = (408, 409, 425, 429)
"""Answers below 500 after which a request is sent again."""
_BROKEN_OFF = ("ReadError", "RemoteProtocolError", "WriteError")
"""Errors of HTTP clients where a server was there and has gone in the middle of a request."""
_WHO = (401, 403)
_NO_KEY = "-"
"""What is sent as the key where there is none, and servers ignore."""
_QUOTA = "insufficient_quota"
LIMIT, NEW_LIMIT = "max_tokens", "max_completion_tokens"
"""What the most tokens of an answer are called; some models (OpenAI's that reason) take the second
name only, and say so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointSettings:
    """A server and how it is talked to.

    Attributes:
        url: Its address, up to ``/v1``.
        model: The model, as the server calls it.
        key: The key; empty for servers without one.
        key_name: The environment variable that it is from, for messages.
        retries: How often a request is sent again.
        wait_s: Seconds before it is sent again for the first time; doubled each time.
        timeout_s: How long an answer may take.
    """

    url: str
    model: str
    key: str
    key_name: str
    retries: int
    wait_s: float
    timeout_s: float


class Interrupted(Exception):
    """Others have failed, or the user stopped: this request is not sent again."""


class _Again(Exception):
    """A request failed that may be answered later."""

    def __init__(self, why: str, after: float | None = None, *, is_down: bool = False) -> None:
        super().__init__(why)
        self.after = after
        self.is_down = is_down


class EndpointClient:
    """A server, for several threads.

    Args:
        settings: Which one.

    Raises:
        SetupError: The package `openai` is not installed, or the key cannot be sent.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        try:
            import openai
        except ImportError as exc:
            raise SetupError(
                "teacher.endpoint needs the package openai, which is not installed",
                hint="pip install 'raykd[endpoint]'",
            ) from exc
        if not (settings.key.isascii() and settings.key.isprintable()):
            message = (
                f"the key in {settings.key_name} has characters that cannot be sent: a key is one "
                "line of ASCII"
            )
            raise _at("teacher.ask.key", message, _RIGHT_KEY.format(settings.key_name))
        self._openai = openai
        self._settings = settings
        self._client = openai.OpenAI(
            base_url=settings.url, api_key=settings.key or _NO_KEY, max_retries=0,
            timeout=settings.timeout_s,
        )  # fmt: skip
        self._over = threading.Event()
        self._random = random.Random(0)
        self._not_before = 0.0
        self._renames = False

    def stop(self) -> None:
        """Send nothing more, and wait for nothing."""
        self._over.set()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def ask(self, request: Request, *, is_first: bool = False) -> Answer:
        """The answer to a request, which is sent again while that may help.

        Args:
            request: The request.
            is_first: Whether no request was sent before: a server that is not there then probably
                does not run, and is not waited for as long.

        Raises:
            SetupError: The server cannot be reached, refuses the key or does not know the model.
            TeacherError: It refuses the request, or keeps failing.
            Interrupted: `stop` was called.
        """
        settings = self._settings
        most, was_there = settings.retries, not is_first
        for attempt in range(most + 1):
            self._pause(self._not_before - time.monotonic())
            try:
                return self._once(request)
            except _Again as exc:
                was_there = was_there or not exc.is_down
                if not was_there:
                    most = min(most, RETRIES_IF_DOWN)
                if attempt >= most or (exc.after or 0.0) > LONGEST_RETRY_AFTER_S:
                    raise self._given_up(exc, attempt + 1) from None
                wait = min(settings.wait_s * 2**attempt, LONGEST_WAIT_S)
                wait *= 0.75 + 0.5 * self._random.random()
                # All threads wait: a limit is that of the account.
                self._not_before = time.monotonic() + max(wait, exc.after or 0.0)
        raise AssertionError("the last attempt returns or raises")

    def _pause(self, seconds: float) -> None:
        if self._over.wait(max(seconds, 0.0)) or self._over.is_set():
            raise Interrupted

    def _once(self, request: Request) -> Answer:
        """One attempt."""
        openai, client = self._openai, self._client
        create: Callable[..., Any] = (
            client.chat.completions.with_raw_response.create
            if request.interface == CHAT
            else client.completions.with_raw_response.create
        )
        extra = dict(request.extra) or None
        is_chat = request.interface == CHAT
        renames = self._renames and is_chat
        body = renamed(request.body) if renames else request.body
        try:
            raw = create(model=self._settings.model, **body, extra_body=extra)
        except openai.BadRequestError as exc:
            if renames or not is_chat or NEW_LIMIT not in _message(exc):
                raise self._status(exc, request) from None
            self._renames = True
            return self._once(request)
        except openai.APITimeoutError:
            raise _Again(f"no answer within {self._settings.timeout_s:g} s") from None
        except openai.APIConnectionError as exc:
            if type(exc.__cause__).__name__ in _BROKEN_OFF:
                raise _Again("breaks the connection off") from None
            raise _Again(f"cannot be reached ({self._clean(exc)})", is_down=True) from None
        except openai.APIStatusError as exc:
            raise self._status(exc, request) from None
        try:
            return read_answer(json.loads(raw.text))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as exc:
            raise TeacherError(
                f"{self._settings.url} answers with something else than OpenAI's interface: "
                f"{shortened(self._clean(raw.text), 120)}",
                hint="the address of most servers ends with /v1",
            ) from exc

    def _status(self, exc: Any, request: Request) -> Exception:
        """What a refusal of the server means."""
        status, reply = int(exc.status_code), shortened(self._clean(_message(exc)), 200)
        if status == 429 and getattr(exc, "code", None) == _QUOTA:
            return TeacherError(
                f"the server refuses to continue: {reply}", hint=f"pay for more; {_KEPT}"
            )
        if status in _AGAIN or status >= 500:
            what = "limits the rate" if status == 429 else "fails"
            return _Again(f"{what} ({status}: {reply})", _retry_after(exc))
        if status in _WHO:
            hint = _RIGHT_KEY.format(self._settings.key_name)
            return _at("teacher.ask.key", f"the server refuses the key ({status}: {reply})", hint)
        if status == 404:
            message = f"the server does not know '{self._settings.model}' ({status}: {reply})"
            hint = "name one of its models; the address of most servers ends with /v1"
            return _at("teacher.model", message, hint)
        return TeacherError(
            f"the server refuses the request of {request.place} ({status}: {reply})",
            hint="other settings of teacher.ask may do (interface, score_by, max_new_tokens); "
            + _KEPT,
        )

    def _given_up(self, why: _Again, attempts: int) -> RaykdError:
        waited = f" (it asks to wait {why.after:,.0f} s)" if why.after is not None else ""
        message = f"{self._settings.url} {why}, {attempts} times in a row{waited}"
        hint = f"run the same command later; {_KEPT}"
        if why.is_down:
            return _at("teacher.endpoint", message, f"is the server running? {hint}")
        return TeacherError(message, hint=f"{hint}; teacher.ask.concurrent sends less at a time")

    def _clean(self, message: object) -> str:
        """What a server said, without the key."""
        text = " ".join(str(message).split())
        return text.replace(self._settings.key, "***") if self._settings.key else text


_KEPT = "answers so far are kept"
_RIGHT_KEY = "put the right key into the environment variable {}"


def _at(path: str, message: str, hint: str) -> SetupError:
    return SetupError(problems=[Problem(path=path, message=message, hint=hint)])


def _message(exc: Any) -> str:
    """What a server says is wrong, out of the body that holds it."""
    body = exc.body
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        message = inner.get("message", inner) if isinstance(inner, Mapping) else inner
        return str(message)
    return str(body or exc.message)


def renamed(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request with the name that newer models want for the most tokens."""
    return {NEW_LIMIT if name == LIMIT else name: value for name, value in body.items()}


def _retry_after(exc: Any) -> float | None:
    """Seconds that the server asks to wait."""
    try:
        return max(0.0, float(exc.response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def read_answer(plain: Mapping[str, Any]) -> Answer:
    """An answer out of the body of a response of either interface.

    Raises:
        KeyError, IndexError, TypeError, AttributeError: It is none.
    """
    choice, usage = plain["choices"][0], plain.get("usage") or {}
    text = choice["text"] if "text" in choice else choice["message"]["content"]
    return Answer(
        text=text or "",
        finish=str(choice.get("finish_reason") or ""),
        logprobs=choice.get("logprobs"),
        read=int(usage.get("prompt_tokens") or 0),
        written=int(usage.get("completion_tokens") or 0),
    )
