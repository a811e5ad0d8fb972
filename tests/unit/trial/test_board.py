"""The board without Ray: its methods are coroutines of one loop, as in the actor."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable

import pytest

from raykd.trial.board import (
    CLOSE,
    GO,
    IDLE,
    MINE,
    READY,
    STOP,
    UNHEARD_LOSSES,
    WAIT,
    BoardState,
)

NOW = 0.0
"""No patience: what is not there at once is not waited for."""
SOON = 5.0
SILENCE_S = 0.2


def on_a_board(test: Callable[[BoardState], Awaitable[None]]) -> Callable[[], None]:
    """Run a test on a board of its own, in a loop of its own; the board is closed after it."""

    async def run() -> None:
        board = BoardState(silence_s=SILENCE_S)
        try:
            await test(board)
        finally:
            await board.close()

    # Without the name of the argument, which pytest would take for a fixture.
    wrapped = functools.wraps(test)(lambda: asyncio.run(run()))
    del wrapped.__wrapped__
    return wrapped


async def take(board: BoardState, slot: int = 0, patience_s: float = NOW):
    return await board.take(slot, f"node-{slot}", patience_s)


async def kinds(board: BoardState, job: str) -> list[str]:
    return [e["kind"] for e in await board.pull(job, 0, NOW)]


async def notices(board: BoardState) -> list[tuple]:
    """What was told, in short."""
    found = await board.notices(0, NOW)
    return [(n["kind"], n.get("job", n.get("slot")), n.get("state", "")) for n in found]


def report(epoch: float) -> dict[str, object]:
    return {"kind": "evaluation", "epoch": epoch}


DONE = {"kind": "done", "metrics": {}}


@on_a_board
async def test_jobs_are_taken_in_the_order_they_came(board):
    for name in ("a", "b", "c"):
        await board.submit(name, name.upper(), 0)
    assert [await take(board, slot) for slot in range(3)] == [
        ("a", 1, "A"), ("b", 1, "B"), ("c", 1, "C"),
    ]  # fmt: skip
    assert await take(board) == (IDLE, 0, None)


@on_a_board
async def test_a_waiting_worker_gets_a_job_as_soon_as_it_comes(board):
    waiting = asyncio.create_task(take(board, patience_s=SOON))
    await asyncio.sleep(0)
    began = time.monotonic()
    await board.submit("a", "A", 0)
    assert await waiting == ("a", 1, "A")
    assert time.monotonic() - began < 1


@on_a_board
async def test_of_two_waiting_workers_one_gets_the_job(board):
    waiting = [asyncio.create_task(take(board, slot, 0.1)) for slot in range(2)]
    await asyncio.sleep(0)
    await board.submit("a", "A", 0)
    assert sorted([job for job, *_ in await asyncio.gather(*waiting)]) == sorted(["a", IDLE])


@on_a_board
async def test_a_job_submitted_twice_runs_once(board):
    await board.submit("a", "A", 0)
    await board.submit("a", "A", 0)
    assert await take(board) == ("a", 1, "A")
    assert await take(board) == (IDLE, 0, None)
    await board.push("a", 1, DONE)
    await board.submit("a", "A", 0)
    assert await take(board) == (IDLE, 0, None)
    assert await kinds(board, "a") == ["done"]


@on_a_board
async def test_events_reach_the_driver_in_order_with_the_lease(board):
    await board.submit("a", None, 0)
    await take(board, slot=3)
    assert await board.push("a", 1, report(1)) == GO
    assert await board.push("a", 1, report(2)) == GO
    first, second = await board.pull("a", 0, NOW)
    assert (first["epoch"], second["epoch"]) == (1, 2)
    assert (first["lease"]["slot"], first["lease"]["node"]) == (3, "node-3")
    assert first["lease"]["attempt"] == 1
    assert await board.pull("a", 2, NOW) == []
    await board.push("a", 1, DONE)
    assert [e["kind"] for e in await board.pull("a", 2, NOW)] == ["done"]


@on_a_board
async def test_a_waiting_driver_gets_an_event_as_soon_as_it_comes(board):
    await board.submit("a", None, 0)
    await take(board)
    waiting = asyncio.create_task(board.pull("a", 0, SOON))
    await asyncio.sleep(0)
    began = time.monotonic()
    await board.push("a", 1, report(1))
    assert [e["epoch"] for e in await waiting] == [1]
    assert time.monotonic() - began < 1


@on_a_board
async def test_a_cancelled_job_stops_its_worker_with_the_next_answer(board):
    await board.submit("a", None, 0)
    await take(board)
    assert await board.beat("a", 1) == GO
    await board.cancel("a")
    assert await board.beat("a", 1) == STOP
    assert await board.push("a", 1, report(1)) == STOP
    assert await board.push("a", 1, DONE) == STOP
    assert await kinds(board, "a") == ["cancelled"]


@on_a_board
async def test_a_job_cancelled_in_the_queue_is_not_taken(board):
    await board.submit("a", None, 0)
    await board.submit("b", None, 0)
    await board.cancel("a")
    assert (await take(board))[0] == "b"


@on_a_board
async def test_cancelling_what_is_over_or_unknown_changes_nothing(board):
    await board.submit("a", None, 0)
    await take(board)
    await board.push("a", 1, DONE)
    await board.cancel("a")
    await board.cancel("nothing")
    assert await kinds(board, "a") == ["done"]


@on_a_board
async def test_a_worker_of_an_unknown_job_is_told_to_stop(board):
    assert await board.push("nothing", 1, report(1)) == STOP
    assert await board.beat("nothing", 1) == STOP


@on_a_board
async def test_a_worker_that_starts_anew_had_lost_its_job(board):
    await board.submit("a", "A", 2)
    await board.submit("b", "B", 2)
    await take(board, slot=0)
    await board.push("a", 1, report(1))
    await board.hello(0, "node-0")
    # Before what waits.
    assert await take(board, slot=1) == ("a", 2, "A")
    assert ("requeued", "a", "") in await notices(board)


@on_a_board
async def test_the_earlier_attempt_is_told_to_stop(board):
    await board.submit("a", None, 2)
    await take(board, slot=0)
    await board.slot_failed(0, "its node died")
    await take(board, slot=1)
    assert await board.push("a", 1, report(1)) == STOP
    assert await board.push("a", 1, DONE) == STOP
    assert await board.beat("a", 1) == STOP
    assert await board.push("a", 2, report(1)) == GO
    assert [e["lease"]["slot"] for e in await board.pull("a", 0, NOW)] == [1]


@on_a_board
async def test_jobs_of_other_slots_go_on(board):
    for name in ("a", "b"):
        await board.submit(name, None, 0)
    await take(board, slot=0)
    await take(board, slot=1)
    await board.beat("a", 1)
    await board.hello(0, "node-0")
    assert await kinds(board, "a") == ["failed"]
    assert await board.beat("b", 1) == GO


@on_a_board
async def test_a_silent_worker_loses_its_job_to_another_slot(board):
    await board.submit("a", "A", 1)
    await take(board, slot=0)
    began = time.monotonic()
    assert await take(board, slot=1, patience_s=SOON) == ("a", 2, "A")
    assert SILENCE_S <= time.monotonic() - began < 2
    assert await board.beat("a", 1) == STOP


@on_a_board
async def test_a_worker_that_beats_keeps_its_job(board):
    await board.submit("a", "A", 1)
    await take(board, slot=0)
    for _ in range(8):
        await asyncio.sleep(SILENCE_S / 4)
        assert await board.beat("a", 1) == GO
    assert await take(board, slot=1) == (IDLE, 0, None)


@pytest.mark.parametrize("max_failures", [0, 1, 2])
def test_a_job_that_loses_its_worker_too_often_has_failed(max_failures):
    async def run() -> None:
        board = BoardState()
        await board.submit("a", None, max_failures)
        for attempt in range(1, max_failures + 2):
            assert (await take(board, slot=0))[:2] == ("a", attempt)
            assert await board.beat("a", attempt) == GO
            await board.hello(0, "node-0")
        assert await take(board, slot=0) == (IDLE, 0, None)
        (event,) = await board.pull("a", 0, NOW)
        assert event["kind"] == "failed"
        attempts = max_failures + 1
        assert event["error"] == f"given up after {attempts} attempts: its worker was restarted"
        await board.close()

    asyncio.run(run())


@on_a_board
async def test_a_worker_that_died_before_it_was_heard_of_costs_no_attempt(board):
    await board.submit("a", "A", 0)
    await take(board, slot=0)
    # Killed while the board answered: nobody ever worked on it.
    await board.hello(0, "node-0")
    assert await take(board, slot=0) == ("a", 2, "A")
    assert await board.push("a", 2, DONE) == GO
    assert await kinds(board, "a") == ["done"]


@on_a_board
async def test_a_job_that_nobody_ever_begins_is_given_up(board):
    await board.submit("a", None, 0)
    for _ in range(UNHEARD_LOSSES + 1):
        assert (await take(board, slot=0))[0] == "a"
        await board.hello(0, "node-0")
    assert await take(board, slot=0) == (IDLE, 0, None)
    (event,) = await board.pull("a", 0, NOW)
    assert event["kind"] == "failed"
    assert "os._exit" in event["hint"]


@on_a_board
async def test_a_question_of_a_worker_that_is_gone_gets_no_job(board):
    await board.hello(0, "node-0")
    waiting = asyncio.create_task(take(board, slot=0, patience_s=SOON))
    await asyncio.sleep(0)
    await board.hello(0, "node-0")  # the worker that asked was killed, this is the next one
    await board.submit("a", "A", 0)
    assert await waiting == (IDLE, 0, None)
    assert await take(board, slot=0) == ("a", 1, "A")


@on_a_board
async def test_a_worker_that_waits_with_its_beat_learns_at_once_that_it_lost_its_job(board):
    for name, end in (
        ("cancelled", lambda: board.cancel("cancelled")),
        ("lost", lambda: board.slot_failed(7, "its node died")),
        ("closed", board.close),
    ):
        await board.submit(name, None, 5)
        assert (await take(board, slot=7))[0] == name
        waiting = asyncio.create_task(board.beat(name, 1, SOON))
        await asyncio.sleep(0)
        began = time.monotonic()
        await end()
        assert await waiting == STOP
        assert time.monotonic() - began < 1
        if name == "lost":
            assert (await take(board, slot=8))[:2] == ("lost", 2)
            assert await board.beat("lost", 2, 0.01) == GO
            await board.push("lost", 2, DONE)


@on_a_board
async def test_the_claims_of_a_silent_worker_are_free_again(board):
    await board.submit("a", None, 5)
    await take(board, slot=0)
    await board.claim("k", 0, NOW)
    began = time.monotonic()
    while (await board.claim("k", 1, 0.05))[0] == WAIT:
        assert time.monotonic() - began < SOON
    assert time.monotonic() - began >= SILENCE_S


@on_a_board
async def test_a_slot_whose_job_ended_in_the_middle_frees_what_it_claimed(board):
    await board.claim("mine", 0, NOW)
    await board.claim("other", 1, NOW)
    await board.disclaim(0)
    assert (await board.claim("mine", 2, NOW))[0] == MINE
    assert (await board.claim("other", 2, NOW))[0] == WAIT


@on_a_board
async def test_slots_that_come_after_others_were_given_up_get_jobs(board):
    await board.expect([0])
    await board.given_up(0, "its node has no disk")
    await board.submit("refused", None, 0)
    assert await kinds(board, "refused") == ["failed"]
    await board.expect([1])
    await board.submit("taken", "T", 0)
    assert await take(board, slot=1) == ("taken", 1, "T")


@on_a_board
async def test_a_slot_that_falls_silent_between_two_jobs_is_told_once(board):
    await board.hello(0, "node-0")
    await take(board, slot=0)
    await asyncio.sleep(3 * SILENCE_S)
    assert (await notices(board)).count(("slot", 0, "silent")) == 1
    await take(board, slot=0)  # it goes on
    await asyncio.sleep(3 * SILENCE_S)
    assert (await notices(board)).count(("slot", 0, "silent")) == 2


@on_a_board
async def test_a_slot_that_ended_is_not_called_silent(board):
    await board.hello(0, "node-0")
    await board.goodbye(0)
    await asyncio.sleep(3 * SILENCE_S)
    assert ("slot", 0, "silent") not in await notices(board)


@on_a_board
async def test_a_failure_of_the_trial_itself_is_not_tried_again(board):
    await board.submit("a", None, 5)
    await take(board)
    await board.push("a", 1, {"kind": "failed", "error": "the loss is NaN"})
    assert await take(board) == (IDLE, 0, None)
    assert (await board.pull("a", 0, NOW))[0]["error"] == "the loss is NaN"


@on_a_board
async def test_a_slot_that_failed_tells_whether_it_had_worked(board):
    assert await board.slot_failed(0, "no GPU") is False
    await board.submit("a", None, 5)
    await take(board, slot=0)
    assert await board.slot_failed(0, "out of memory") is True
    assert await board.slot_failed(0, "no GPU") is False


@on_a_board
async def test_closing_sends_workers_home_and_ends_every_job(board):
    for name in ("done", "running"):
        await board.submit(name, None, 0)
        await take(board)
    await board.push("done", 1, DONE)
    idle = asyncio.create_task(take(board, slot=1, patience_s=SOON))
    driver = asyncio.create_task(board.pull("running", 0, SOON))
    await asyncio.sleep(0)
    assert not await board.is_closed()
    await board.close()
    assert await board.is_closed()
    assert await idle == (CLOSE, 0, None)
    assert [e["kind"] for e in await driver] == ["cancelled"]
    assert await board.push("running", 1, report(1)) == STOP
    assert await kinds(board, "done") == ["done"]
    assert await take(board) == (CLOSE, 0, None)


@on_a_board
async def test_closing_ends_what_waits_in_the_queue(board):
    await board.submit("waiting", None, 0)
    await board.close()
    assert await kinds(board, "waiting") == ["cancelled"]
    assert await take(board) == (CLOSE, 0, None)


@on_a_board
async def test_a_job_submitted_after_closing_is_over_at_once(board):
    await board.close()
    await board.submit("late", None, 0)
    assert await kinds(board, "late") == ["cancelled"]


@on_a_board
async def test_without_slots_every_job_fails_with_the_reason(board):
    await board.submit("running", None, 5)
    await board.submit("waiting", None, 5)
    await take(board)
    await board.expect([0, 1])
    await board.given_up(0, "its processes died")
    assert await board.pull("waiting", 0, NOW) == []
    await board.given_up(1, "no slot could be kept alive")
    await board.submit("late", None, 5)
    for name in ("running", "waiting", "late"):
        (event,) = await board.pull(name, 0, NOW)
        assert (event["kind"], event["error"]) == ("failed", "no slot could be kept alive")
    assert await take(board) == (IDLE, 0, None)


@on_a_board
async def test_slots_that_go_with_their_node_leave_their_job_to_those_to_come(board):
    await board.expect([0])
    await board.submit("a", None, 5)
    assert (await take(board, slot=0))[0] == "a"
    await board.unexpect([0], "its node was lost")
    await board.expect([1])
    assert (await take(board, slot=1))[0] == "a"
    assert await board.pull("a", 0, NOW) == []


@on_a_board
async def test_a_job_that_was_read_is_forgotten_but_for_its_end(board):
    await board.submit("a", {"big": "payload"}, 0)
    await take(board)
    await board.push("a", 1, report(1))
    await board.forget("a")
    assert len(await board.pull("a", 0, NOW)) == 1
    await board.push("a", 1, DONE)
    await board.forget("a")
    await board.forget("nothing")
    assert await kinds(board, "a") == ["done"]


@on_a_board
async def test_what_happens_to_slots_is_told_in_order(board):
    await board.hello(0, "node-0")
    await board.submit("a", None, 1)
    await take(board, slot=0)
    await board.slot_failed(0, "killed")
    await board.goodbye(1)
    assert await notices(board) == [
        ("slot", 0, "ready"), ("leased", "a", ""), ("slot", 0, "lost"), ("requeued", "a", ""),
        ("slot", 1, "ended"),
    ]  # fmt: skip
    assert await board.notices(5, NOW) == []


@on_a_board
async def test_shared_things_are_read_by_their_key(board):
    await board.share("teacher", {"refs": 1})
    assert await board.read("teacher") == {"refs": 1}
    with pytest.raises(KeyError):
        await board.read("nothing")


@on_a_board
async def test_what_is_claimed_is_made_by_one_and_read_by_all(board):
    assert (await board.claim("k", 0, NOW))[0] == MINE
    assert (await board.claim("k", 0, NOW))[0] == MINE  # the same slot asks again
    assert (await board.claim("k", 1, NOW))[0] == WAIT
    waiting = asyncio.create_task(board.claim("k", 1, SOON))
    await asyncio.sleep(0)
    await board.keep("k", "value")
    assert await waiting == (READY, ("value",))
    assert await board.claim("k", 0, NOW) == (READY, ("value",))


@on_a_board
async def test_a_claim_dies_with_its_slot(board):
    await board.claim("k", 0, NOW)
    waiting = asyncio.create_task(board.claim("k", 1, SOON))
    await asyncio.sleep(0)
    await board.slot_failed(0, "gone")
    assert (await waiting)[0] == MINE
    assert (await board.claim("k", 2, NOW))[0] == WAIT


@on_a_board
async def test_what_is_lost_is_made_again(board):
    await board.claim("k", 0, NOW)
    await board.keep("k", "value")
    await board.retract("k", 1)
    assert (await board.claim("k", 1, NOW))[0] == MINE
    await board.retract("k", 0)  # too late: another slot is at it
    assert (await board.claim("k", 0, NOW))[0] == WAIT
