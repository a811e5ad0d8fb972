"""The coordinator without Ray: its methods are coroutines of one loop, as in the actor."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable

import pytest

from raykd.trial.coordinator import (
    CLOSE,
    GO,
    IDLE,
    MINE,
    READY,
    STOP,
    UNHEARD_LOSSES,
    WAIT,
    CoordinatorState,
)
from raykd.trial.signs_of_life import HUNG_SILENCES

NOW = 0.0
"""No patience: what is not there at once is not waited for."""
SOON = 5.0
SILENCE_S = 0.2


def on_a_coordinator(test: Callable[[CoordinatorState], Awaitable[None]]) -> Callable[[], None]:
    """Run a test on a coordinator of its own, in a loop of its own, and close it afterwards."""

    async def run() -> None:
        coordinator = CoordinatorState(silence_s=SILENCE_S)
        try:
            await test(coordinator)
        finally:
            await coordinator.close()

    # Without the name of the argument, which pytest would take for a fixture.
    wrapped = functools.wraps(test)(lambda: asyncio.run(run()))
    del wrapped.__wrapped__
    return wrapped


async def take(coordinator: CoordinatorState, slot: int = 0, patience_s: float = NOW):
    return await coordinator.take(slot, f"node-{slot}", patience_s)


async def kinds(coordinator: CoordinatorState, job: str) -> list[str]:
    return [e["kind"] for e in await coordinator.pull(job, 0, NOW)]


async def notifications(coordinator: CoordinatorState) -> list[tuple]:
    """What was notified, in short."""
    actual = await coordinator.notifications(0, NOW)
    return [(n["kind"], n.get("job", n.get("slot")), n.get("state", "")) for n in actual]


def report(epoch: float) -> dict[str, object]:
    return {"kind": "evaluation", "epoch": epoch}


DONE = {"kind": "done", "metrics": {}}


@on_a_coordinator
async def test_jobs_are_taken_in_the_order_they_came(coordinator):
    for name in ("a", "b", "c"):
        await coordinator.submit(name, name.upper(), 0)
    assert [await take(coordinator, slot) for slot in range(3)] == [
        ("a", 1, "A"), ("b", 1, "B"), ("c", 1, "C"),
    ]  # fmt: skip
    assert await take(coordinator) == (IDLE, 0, None)


@on_a_coordinator
async def test_a_waiting_worker_gets_a_job_as_soon_as_it_comes(coordinator):
    waiting = asyncio.create_task(take(coordinator, patience_s=SOON))
    await asyncio.sleep(0)
    began = time.monotonic()
    await coordinator.submit("a", "A", 0)
    assert await waiting == ("a", 1, "A")
    assert time.monotonic() - began < 1


@on_a_coordinator
async def test_of_two_waiting_workers_one_gets_the_job(coordinator):
    waiting = [asyncio.create_task(take(coordinator, slot, 0.1)) for slot in range(2)]
    await asyncio.sleep(0)
    await coordinator.submit("a", "A", 0)
    assert sorted([job for job, *_ in await asyncio.gather(*waiting)]) == sorted(["a", IDLE])


@on_a_coordinator
async def test_a_job_submitted_twice_runs_once(coordinator):
    await coordinator.submit("a", "A", 0)
    await coordinator.submit("a", "A", 0)
    assert await take(coordinator) == ("a", 1, "A")
    assert await take(coordinator) == (IDLE, 0, None)
    await coordinator.push("a", 1, DONE)
    await coordinator.submit("a", "A", 0)
    assert await take(coordinator) == (IDLE, 0, None)
    assert await kinds(coordinator, "a") == ["done"]


@on_a_coordinator
async def test_a_job_that_failed_runs_again_where_that_is_requested(coordinator):
    await coordinator.submit("a", "A", 0)
    await coordinator.submit("a", "B", 0, again=True)
    assert await take(coordinator) == ("a", 1, "A"), "it is not over yet"
    await coordinator.push("a", 1, {"kind": "failed", "error": "e"})
    await coordinator.forget("a")
    await coordinator.submit("a", "A", 0)
    assert await take(coordinator) == (IDLE, 0, None)
    await coordinator.submit("a", "A", 0, again=True)
    assert await kinds(coordinator, "a") == []
    assert await take(coordinator) == ("a", 2, "A")
    assert await coordinator.push("a", 1, DONE) == STOP, "the first attempt is late"
    await coordinator.push("a", 2, DONE)
    assert await kinds(coordinator, "a") == ["done"]


@on_a_coordinator
async def test_events_reach_the_driver_in_order_with_the_lease(coordinator):
    await coordinator.submit("a", None, 0)
    await take(coordinator, slot=3)
    assert await coordinator.push("a", 1, report(1)) == GO
    assert await coordinator.push("a", 1, report(2)) == GO
    first, second = await coordinator.pull("a", 0, NOW)
    assert (first["epoch"], second["epoch"]) == (1, 2)
    assert (first["lease"]["slot"], first["lease"]["node"]) == (3, "node-3")
    assert first["lease"]["attempt"] == 1
    assert await coordinator.pull("a", 2, NOW) == []
    await coordinator.push("a", 1, DONE)
    assert [e["kind"] for e in await coordinator.pull("a", 2, NOW)] == ["done"]


@on_a_coordinator
async def test_a_waiting_driver_gets_an_event_as_soon_as_it_comes(coordinator):
    await coordinator.submit("a", None, 0)
    await take(coordinator)
    waiting = asyncio.create_task(coordinator.pull("a", 0, SOON))
    await asyncio.sleep(0)
    began = time.monotonic()
    await coordinator.push("a", 1, report(1))
    assert [e["epoch"] for e in await waiting] == [1]
    assert time.monotonic() - began < 1


@on_a_coordinator
async def test_a_cancelled_job_stops_its_worker_with_the_next_answer(coordinator):
    await coordinator.submit("a", None, 0)
    await take(coordinator)
    assert await coordinator.heartbeat("a", 1) == GO
    await coordinator.cancel("a")
    assert await coordinator.heartbeat("a", 1) == STOP
    assert await coordinator.push("a", 1, report(1)) == STOP
    assert await coordinator.push("a", 1, DONE) == STOP
    assert await kinds(coordinator, "a") == ["cancelled"]


@on_a_coordinator
async def test_a_job_cancelled_in_the_queue_is_not_taken(coordinator):
    await coordinator.submit("a", None, 0)
    await coordinator.submit("b", None, 0)
    await coordinator.cancel("a")
    assert (await take(coordinator))[0] == "b"


@on_a_coordinator
async def test_cancelling_what_is_over_or_unknown_changes_nothing(coordinator):
    await coordinator.submit("a", None, 0)
    await take(coordinator)
    await coordinator.push("a", 1, DONE)
    await coordinator.cancel("a")
    await coordinator.cancel("nothing")
    assert await kinds(coordinator, "a") == ["done"]


@on_a_coordinator
async def test_a_worker_of_an_unknown_job_is_told_to_stop(coordinator):
    assert await coordinator.push("nothing", 1, report(1)) == STOP
    assert await coordinator.heartbeat("nothing", 1) == STOP


@on_a_coordinator
async def test_a_worker_that_starts_anew_had_lost_its_job(coordinator):
    await coordinator.submit("a", "A", 2)
    await coordinator.submit("b", "B", 2)
    await take(coordinator, slot=0)
    await coordinator.push("a", 1, report(1))
    await coordinator.register(0, "node-0")
    # Before what waits.
    assert await take(coordinator, slot=1) == ("a", 2, "A")
    assert ("requeued", "a", "") in await notifications(coordinator)


@on_a_coordinator
async def test_the_earlier_attempt_is_told_to_stop(coordinator):
    await coordinator.submit("a", None, 2)
    await take(coordinator, slot=0)
    await coordinator.slot_failed(0, "its node died")
    await take(coordinator, slot=1)
    assert await coordinator.push("a", 1, report(1)) == STOP
    assert await coordinator.push("a", 1, DONE) == STOP
    assert await coordinator.heartbeat("a", 1) == STOP
    assert await coordinator.push("a", 2, report(1)) == GO
    assert [e["lease"]["slot"] for e in await coordinator.pull("a", 0, NOW)] == [1]


@on_a_coordinator
async def test_jobs_of_other_slots_continue(coordinator):
    for name in ("a", "b"):
        await coordinator.submit(name, None, 0)
    await take(coordinator, slot=0)
    await take(coordinator, slot=1)
    await coordinator.heartbeat("a", 1)
    await coordinator.register(0, "node-0")
    assert await kinds(coordinator, "a") == ["failed"]
    assert await coordinator.heartbeat("b", 1) == GO


@on_a_coordinator
async def test_a_silent_worker_loses_its_job_to_another_slot(coordinator):
    await coordinator.submit("a", "A", 1)
    await take(coordinator, slot=0)
    began = time.monotonic()
    assert await take(coordinator, slot=1, patience_s=SOON) == ("a", 2, "A")
    assert SILENCE_S <= time.monotonic() - began < 2
    assert await coordinator.heartbeat("a", 1) == STOP


@on_a_coordinator
async def test_a_worker_that_beats_keeps_its_job(coordinator):
    await coordinator.submit("a", "A", 1)
    await take(coordinator, slot=0)
    for _ in range(8):
        await asyncio.sleep(SILENCE_S / 4)
        assert await coordinator.heartbeat("a", 1) == GO
    assert await take(coordinator, slot=1) == (IDLE, 0, None)


@pytest.mark.parametrize("max_failures", [0, 1, 2])
def test_a_job_that_loses_its_worker_too_often_has_failed(max_failures):
    async def run() -> None:
        coordinator = CoordinatorState()
        await coordinator.submit("a", None, max_failures)
        for attempt in range(1, max_failures + 2):
            assert (await take(coordinator, slot=0))[:2] == ("a", attempt)
            assert await coordinator.heartbeat("a", attempt) == GO
            await coordinator.register(0, "node-0")
        assert await take(coordinator, slot=0) == (IDLE, 0, None)
        (event,) = await coordinator.pull("a", 0, NOW)
        assert event["kind"] == "failed"
        attempts = max_failures + 1
        assert event["error"] == f"given up after {attempts} attempts: its worker was restarted"
        await coordinator.close()

    asyncio.run(run())


@on_a_coordinator
async def test_a_worker_that_died_before_it_was_heard_of_costs_no_attempt(coordinator):
    await coordinator.submit("a", "A", 0)
    await take(coordinator, slot=0)
    # Killed while the coordinator answered: nobody ever worked on it.
    await coordinator.register(0, "node-0")
    assert await take(coordinator, slot=0) == ("a", 2, "A")
    assert await coordinator.push("a", 2, DONE) == GO
    assert await kinds(coordinator, "a") == ["done"]


@on_a_coordinator
async def test_a_job_that_nobody_ever_begins_is_given_up(coordinator):
    await coordinator.submit("a", None, 0)
    for _ in range(UNHEARD_LOSSES + 1):
        assert (await take(coordinator, slot=0))[0] == "a"
        await coordinator.register(0, "node-0")
    assert await take(coordinator, slot=0) == (IDLE, 0, None)
    (event,) = await coordinator.pull("a", 0, NOW)
    assert event["kind"] == "failed"
    assert "os._exit" in event["hint"]


@on_a_coordinator
async def test_a_question_of_a_worker_that_is_gone_gets_no_job(coordinator):
    await coordinator.register(0, "node-0")
    waiting = asyncio.create_task(take(coordinator, slot=0, patience_s=SOON))
    await asyncio.sleep(0)
    await coordinator.register(
        0, "node-0"
    )  # the worker that asked was killed, this is the next one
    await coordinator.submit("a", "A", 0)
    assert await waiting == (IDLE, 0, None)
    assert await take(coordinator, slot=0) == ("a", 1, "A")


@on_a_coordinator
async def test_a_worker_that_waits_with_its_beat_learns_at_once_that_it_lost_its_job(coordinator):
    for name, end in (
        ("cancelled", lambda: coordinator.cancel("cancelled")),
        ("lost", lambda: coordinator.slot_failed(7, "its node died")),
        ("closed", coordinator.close),
    ):
        await coordinator.submit(name, None, 5)
        assert (await take(coordinator, slot=7))[0] == name
        waiting = asyncio.create_task(coordinator.heartbeat(name, 1, SOON))
        await asyncio.sleep(0)
        began = time.monotonic()
        await end()
        assert await waiting == STOP
        assert time.monotonic() - began < 1
        if name == "lost":
            assert (await take(coordinator, slot=8))[:2] == ("lost", 2)
            assert await coordinator.heartbeat("lost", 2, 0.01) == GO
            await coordinator.push("lost", 2, DONE)


@on_a_coordinator
async def test_the_claims_of_a_silent_worker_are_free_again(coordinator):
    await coordinator.submit("a", None, 5)
    await take(coordinator, slot=0)
    await coordinator.claim("k", 0, NOW)
    began = time.monotonic()
    while (await coordinator.claim("k", 1, 0.05))[0] == WAIT:
        assert time.monotonic() - began < SOON
    assert time.monotonic() - began >= SILENCE_S


@on_a_coordinator
async def test_a_slot_whose_job_ended_in_the_middle_frees_what_it_claimed(coordinator):
    await coordinator.claim("mine", 0, NOW)
    await coordinator.claim("other", 1, NOW)
    await coordinator.release_claims(0)
    assert (await coordinator.claim("mine", 2, NOW))[0] == MINE
    assert (await coordinator.claim("other", 2, NOW))[0] == WAIT


@on_a_coordinator
async def test_slots_that_come_after_others_were_given_up_get_jobs(coordinator):
    await coordinator.add_slots([0])
    await coordinator.slot_given_up(0, "its node has no disk")
    await coordinator.submit("refused", None, 0)
    assert await kinds(coordinator, "refused") == ["failed"]
    await coordinator.add_slots([1])
    await coordinator.submit("taken", "T", 0)
    assert await take(coordinator, slot=1) == ("taken", 1, "T")


@on_a_coordinator
async def test_a_slot_that_falls_silent_between_two_jobs_is_reported_once(coordinator):
    await coordinator.register(0, "node-0")
    await take(coordinator, slot=0)
    await asyncio.sleep(3 * SILENCE_S)
    assert (await notifications(coordinator)).count(("slot", 0, "silent")) == 1
    await take(coordinator, slot=0)  # it continues
    await asyncio.sleep(3 * SILENCE_S)
    assert (await notifications(coordinator)).count(("slot", 0, "silent")) == 2


@on_a_coordinator
async def test_a_slot_that_took_a_job_and_was_not_heard_of_again_is_called_hung(coordinator):
    await coordinator.submit("a", "A", 1)
    await take(coordinator, slot=0)
    await asyncio.sleep((HUNG_SILENCES + 2) * SILENCE_S)
    reported = await notifications(coordinator)
    assert reported.count(("slot", 0, "silent")) == reported.count(("slot", 0, "hung")) == 1
    assert reported.index(("slot", 0, "silent")) < reported.index(("slot", 0, "hung"))


@on_a_coordinator
async def test_a_slot_that_ended_is_not_called_silent(coordinator):
    await coordinator.register(0, "node-0")
    await coordinator.unregister(0)
    await asyncio.sleep(3 * SILENCE_S)
    assert ("slot", 0, "silent") not in await notifications(coordinator)


@on_a_coordinator
async def test_a_failure_of_the_trial_itself_is_not_tried_again(coordinator):
    await coordinator.submit("a", None, 5)
    await take(coordinator)
    await coordinator.push("a", 1, {"kind": "failed", "error": "the loss is NaN"})
    assert await take(coordinator) == (IDLE, 0, None)
    assert (await coordinator.pull("a", 0, NOW))[0]["error"] == "the loss is NaN"


@on_a_coordinator
async def test_a_slot_that_failed_tells_whether_it_had_worked(coordinator):
    assert await coordinator.slot_failed(0, "no GPU") is False
    await coordinator.submit("a", None, 5)
    await take(coordinator, slot=0)
    assert await coordinator.slot_failed(0, "out of memory") is True
    assert await coordinator.slot_failed(0, "no GPU") is False


@on_a_coordinator
async def test_closing_sends_workers_home_and_ends_every_job(coordinator):
    for name in ("done", "running"):
        await coordinator.submit(name, None, 0)
        await take(coordinator)
    await coordinator.push("done", 1, DONE)
    idle = asyncio.create_task(take(coordinator, slot=1, patience_s=SOON))
    driver = asyncio.create_task(coordinator.pull("running", 0, SOON))
    await asyncio.sleep(0)
    assert not await coordinator.is_closed()
    await coordinator.close()
    assert await coordinator.is_closed()
    assert await idle == (CLOSE, 0, None)
    assert [e["kind"] for e in await driver] == ["cancelled"]
    assert await coordinator.push("running", 1, report(1)) == STOP
    assert await kinds(coordinator, "done") == ["done"]
    assert await take(coordinator) == (CLOSE, 0, None)


@on_a_coordinator
async def test_closing_ends_what_waits_in_the_queue(coordinator):
    await coordinator.submit("waiting", None, 0)
    await coordinator.close()
    assert await kinds(coordinator, "waiting") == ["cancelled"]
    assert await take(coordinator) == (CLOSE, 0, None)


@on_a_coordinator
async def test_a_job_submitted_after_closing_is_over_at_once(coordinator):
    await coordinator.close()
    await coordinator.submit("late", None, 0)
    assert await kinds(coordinator, "late") == ["cancelled"]


@on_a_coordinator
async def test_without_slots_every_job_fails_with_the_reason(coordinator):
    await coordinator.submit("running", None, 5)
    await coordinator.submit("waiting", None, 5)
    await take(coordinator)
    await coordinator.add_slots([0, 1])
    await coordinator.slot_given_up(0, "its processes died")
    assert await coordinator.pull("waiting", 0, NOW) == []
    await coordinator.slot_given_up(1, "no slot could be kept alive")
    await coordinator.submit("late", None, 5)
    for name in ("running", "waiting", "late"):
        (event,) = await coordinator.pull(name, 0, NOW)
        assert (event["kind"], event["error"]) == ("failed", "no slot could be kept alive")
    assert await take(coordinator) == (IDLE, 0, None)


@on_a_coordinator
async def test_slots_that_go_with_their_node_leave_their_job_to_those_to_come(coordinator):
    await coordinator.add_slots([0])
    await coordinator.submit("a", None, 5)
    assert (await take(coordinator, slot=0))[0] == "a"
    await coordinator.remove_slots([0], "its node was lost")
    await coordinator.add_slots([1])
    assert (await take(coordinator, slot=1))[0] == "a"
    assert await coordinator.pull("a", 0, NOW) == []


@on_a_coordinator
async def test_a_job_that_was_read_is_forgotten_but_for_its_end(coordinator):
    await coordinator.submit("a", {"big": "payload"}, 0)
    await take(coordinator)
    await coordinator.push("a", 1, report(1))
    await coordinator.forget("a")
    assert len(await coordinator.pull("a", 0, NOW)) == 1
    await coordinator.push("a", 1, DONE)
    await coordinator.forget("a")
    await coordinator.forget("nothing")
    assert await kinds(coordinator, "a") == ["done"]


@on_a_coordinator
async def test_what_happens_to_slots_is_reported_in_order(coordinator):
    await coordinator.register(0, "node-0")
    await coordinator.submit("a", None, 1)
    await take(coordinator, slot=0)
    await coordinator.slot_failed(0, "killed")
    await coordinator.unregister(1)
    assert await notifications(coordinator) == [
        ("slot", 0, "ready"), ("leased", "a", ""), ("slot", 0, "lost"), ("requeued", "a", ""),
        ("slot", 1, "ended"),
    ]  # fmt: skip
    assert await coordinator.notifications(5, NOW) == []


@on_a_coordinator
async def test_shared_things_are_read_by_their_key(coordinator):
    await coordinator.publish("teacher", {"refs": 1})
    assert await coordinator.read("teacher") == {"refs": 1}
    with pytest.raises(KeyError):
        await coordinator.read("nothing")


@on_a_coordinator
async def test_what_is_claimed_is_made_by_one_and_read_by_all(coordinator):
    assert (await coordinator.claim("k", 0, NOW))[0] == MINE
    assert (await coordinator.claim("k", 0, NOW))[0] == MINE  # the same slot asks again
    assert (await coordinator.claim("k", 1, NOW))[0] == WAIT
    waiting = asyncio.create_task(coordinator.claim("k", 1, SOON))
    await asyncio.sleep(0)
    await coordinator.put("k", "value")
    assert await waiting == (READY, ("value",))
    assert await coordinator.claim("k", 0, NOW) == (READY, ("value",))


@on_a_coordinator
async def test_a_claim_dies_with_its_slot(coordinator):
    await coordinator.claim("k", 0, NOW)
    waiting = asyncio.create_task(coordinator.claim("k", 1, SOON))
    await asyncio.sleep(0)
    await coordinator.slot_failed(0, "gone")
    assert (await waiting)[0] == MINE
    assert (await coordinator.claim("k", 2, NOW))[0] == WAIT


@on_a_coordinator
async def test_what_is_lost_is_made_again(coordinator):
    await coordinator.claim("k", 0, NOW)
    await coordinator.put("k", "value")
    await coordinator.invalidate("k", 1)
    assert (await coordinator.claim("k", 1, NOW))[0] == MINE
    await coordinator.invalidate("k", 0)  # too late: another slot is at it
    assert (await coordinator.claim("k", 0, NOW))[0] == WAIT
