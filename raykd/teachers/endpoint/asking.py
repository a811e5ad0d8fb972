"""Asks a server many things at once, and keeps every answer as it comes."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raykd.teachers.endpoint.answer_cache import AnswerCache
from raykd.teachers.endpoint.client import EndpointClient, Interrupted
from raykd.teachers.endpoint.requests import Answer, Request


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What asking took.

    Attributes:
        requests: Requests that were sent.
        cached: Requests whose answers were on disk.
        prompt_tokens: Tokens that the server read, as it counts them.
        completion_tokens: Tokens that it wrote.
        cached_prompt_tokens: Tokens that it read for the answers on disk.
        cached_completion_tokens: Tokens that it wrote for them.
    """

    requests: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_prompt_tokens: int = 0
    cached_completion_tokens: int = 0


def ask_all(
    requests: Sequence[Request],
    client: Callable[[], EndpointClient],
    cache: AnswerCache,
    concurrency: int,
    progress: Callable[[int], None],
) -> tuple[list[Answer], Usage]:
    """The answers to all requests, in order; equal requests are sent once.

    The first one is sent alone, so that a wrong key or model costs one request.

    Args:
        requests: What to ask.
        client: Opens the connection, where any question is left.
        cache: Answers from before; gets each new one at once.
        concurrency: Requests at the same time.
        progress: Called with the number of requests that are answered.

    Raises:
        RaykdError: See `EndpointClient.ask`; every answer that came is kept.
    """
    distinct = {request.key(): request for request in requests}
    answers = {key: answer for key, r in distinct.items() if (answer := cache.get(r)) is not None}
    before = tuple(answers.values())
    left = [request for key, request in distinct.items() if key not in answers]
    progress(len(answers))
    if left:
        cache.make_ready()
        opened = client()
        try:
            _ask_left(left, opened, cache, concurrency, answers, progress)
        finally:
            opened.stop()
            opened.close()
    now = [answers[request.key()] for request in left]
    usage = Usage(
        requests=len(now),
        cached=len(before),
        prompt_tokens=sum(answer.read for answer in now),
        completion_tokens=sum(answer.written for answer in now),
        cached_prompt_tokens=sum(answer.read for answer in before),
        cached_completion_tokens=sum(answer.written for answer in before),
    )
    return [answers[request.key()] for request in requests], usage


def _ask_left(
    left: Sequence[Request],
    client: EndpointClient,
    cache: AnswerCache,
    concurrency: int,
    answers: dict[str, Answer],
    progress: Callable[[int], None],
) -> None:
    """Send the questions without an answer; the first failure ends it."""

    def ask(request: Request, *, is_first: bool = False) -> tuple[Request, Answer]:
        answer = client.ask(request, is_first=is_first)
        cache.put(request, answer)
        return request, answer

    def take(one: tuple[Request, Answer]) -> None:
        answers[one[0].key()] = one[1]
        progress(len(answers))

    take(ask(left[0], is_first=True))
    with concurrent.futures.ThreadPoolExecutor(concurrency, "endpoint") as pool:
        running = [pool.submit(ask, request) for request in left[1:]]
        try:
            for future in concurrent.futures.as_completed(running):
                take(future.result())
        except BaseException as exc:
            client.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise _first_cause(running, exc) from None


def _first_cause(
    running: Sequence[concurrent.futures.Future[tuple[Request, Answer]]], exc: BaseException
) -> BaseException:
    """Why it ended: the first failure, not that others were stopped for it."""
    if not isinstance(exc, Interrupted):
        return exc
    failed = (f.exception() for f in running if f.done() and not f.cancelled())
    return next((e for e in failed if e is not None and not isinstance(e, Interrupted)), exc)
