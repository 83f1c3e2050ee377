"""A clock that stands still, however long the tests before take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo

NOW = datetime.now(UTC)


class StillClock(datetime):
    """Takes the place of `datetime` in a module."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> StillClock:
        return cls.fromtimestamp(NOW.timestamp(), tz)


def ago(**time: int) -> str:
    return (NOW - timedelta(**time)).isoformat()
