"""What the driver is notified of: in order, and dropped once it was read."""

from __future__ import annotations

import asyncio

from raykd.trial.notifications import Notifications


def test_the_reader_gets_what_came_after_what_it_knows_and_the_rest_is_dropped():
    async def read() -> None:
        notifications = Notifications()
        cursor, seen = 0, []
        for number in range(6):
            notifications.add("steps", number=number)
            if number % 2:
                actual = await notifications.since(cursor, 0.0)
                cursor += len(actual)
                seen += [one["number"] for one in actual]
        assert seen == list(range(6))
        assert await notifications.since(cursor, 0.0) == []
        assert len(notifications._kept) == 0

    asyncio.run(read())
