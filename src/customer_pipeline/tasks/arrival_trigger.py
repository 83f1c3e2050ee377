"""Airflow's trigger for files that arrive: one event for each. The stock one removes the file that it finds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from customer_pipeline.arrivals import Arrivals

SECONDS = 5.0
"""Between two looks."""


class ArrivalTrigger(BaseEventTrigger):
    """Fires for each file that arrives in `incoming/` of a data folder.

    Args:
        data: The data folder.
        seconds: Between two looks.
    """

    def __init__(self, data: str, seconds: float = SECONDS) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.data, self.seconds = data, seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what another process makes it from."""
        return f"{type(self).__module__}.{type(self).__name__}", {"data": self.data, "seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look again and again; what was told is noted when the event is out."""
        arrivals = Arrivals(Path(self.data))
        while True:
            for arrival in await asyncio.to_thread(arrivals.look):
                yield TriggerEvent(asdict(arrival))  # type: ignore[no-untyped-call]
                await asyncio.to_thread(arrivals.note, arrival)
            await asyncio.sleep(self.seconds)
