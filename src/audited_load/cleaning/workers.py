"""Blocks → parts, made by several processes. A worker that dies is an error, never a missing part.

The workers are programs of their own and not forks: neither Polars nor a task of Airflow can be forked safely
once it has threads. They end with their standard input, so that none outlives whoever started it.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import BinaryIO, cast

from audited_load.cleaning.parts import PartMaker, Tally
from audited_load.errors import UnavailableError
from audited_load.reading.records import Block

MAX_WORKERS = 4
BYTES_PER_WORKER = 12 * 2**20
"""A smaller file is cleaned sooner than a worker starts."""

_ENVIRONMENT = {
    "POLARS_MAX_THREADS": "1",
    # A block's memory is wanted again for the next one: giving it back in between cost a tenth of the time.
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:60000,muzzy_decay_ms:60000,thp:always",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


def make_parts(maker: PartMaker, blocks: Iterable[Block]) -> Iterator[tuple[Block, Tally]]:
    """Make the parts of all blocks, side by side if the file is worth it.

    Args:
        maker: How to make them, and where.
        blocks: In the order of the file. Few are held at a time.

    Yields:
        Each block with its accounting, in the order of the file.

    Raises:
        UnavailableError: A worker died.
    """
    number = min(MAX_WORKERS, _count_processors(), maker.source_bytes // BYTES_PER_WORKER)
    if number < 2:  # noqa: PLR2004 - one worker is no help
        for part, block in enumerate(blocks):
            yield block, maker.make_part(part, block)
        return
    with ExitStack() as stack:
        idle: SimpleQueue[_Worker] = SimpleQueue()
        for _ in range(number):
            idle.put(stack.enter_context(_started_worker(maker)))
        threads = stack.enter_context(ThreadPoolExecutor(number))
        waiting: deque[tuple[Block, Future[Tally]]] = deque()
        for part, block in enumerate(blocks):
            waiting.append((block, threads.submit(_delegate, idle, part, block)))
            if len(waiting) > number:
                yield _first_of(waiting)
        while waiting:
            yield _first_of(waiting)


def serve(work: BinaryIO, answers: BinaryIO) -> None:
    """Do a worker's work: make the parts of the blocks that come in, and answer with their accounting.

    Args:
        work: A pickled `PartMaker`, then pairs of a number and a `Block`, until it ends.
        answers: Takes a pickled `Tally`, or the exception, for each block.
    """
    maker: PartMaker = pickle.load(work)  # noqa: S301 - from the process that started this one
    while True:
        try:
            part, block = pickle.load(work)  # noqa: S301
        except EOFError:
            return
        answer: Tally | BaseException
        try:
            answer = maker.make_part(part, block)
        except Exception as error:
            # Raised again where the block came from.
            error.add_note(traceback.format_exc())
            answer = error
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


def _count_processors() -> int:
    """Count the processors that this process may use, where the system can tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class _Worker:
    """A worker, and the two ends of the lines to it."""

    work: BinaryIO
    answers: BinaryIO


@contextmanager
def _started_worker(maker: PartMaker) -> Iterator[_Worker]:
    environment = os.environ | _ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-m", "audited_load.cleaning.workers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        process_group=0,  # Ctrl+C is for whoever started them, also while they are starting
    ) as process:
        worker = _Worker(cast("BinaryIO", process.stdin), cast("BinaryIO", process.stdout))
        pickle.dump(maker, worker.work, pickle.HIGHEST_PROTOCOL)
        try:
            yield worker
        finally:
            # A dead worker has been reported already.
            with suppress(BrokenPipeError):
                worker.work.close()


def _delegate(idle: SimpleQueue[_Worker], part: int, block: Block) -> Tally:
    worker = idle.get()
    try:
        pickle.dump((part, block), worker.work, pickle.HIGHEST_PROTOCOL)
        worker.work.flush()
        answer = pickle.load(worker.answers)  # noqa: S301 - from our own worker
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        raise UnavailableError(
            "A process that cleans a part of the file died.",
            "The machine may be out of memory: look at the system's log, then run it again. Nothing was loaded.",
        ) from error
    finally:
        idle.put(worker)
    if isinstance(answer, Tally):
        return answer
    raise answer


def _first_of(waiting: deque[tuple[Block, Future[Tally]]]) -> tuple[Block, Tally]:
    block, future = waiting.popleft()
    return block, future.result()


if __name__ == "__main__":
    # Whatever prints must not get among the answers.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, output)
