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
from contextlib import ExitStack
from queue import SimpleQueue
from typing import BinaryIO

from audited_load.errors import UnavailableError
from audited_load.parts import PartMaker, Tally
from audited_load.records import Block

MAX_WORKERS = 4
BYTES_PER_WORKER = 12 * 2**20
"""A smaller file is cleaned sooner than a worker starts."""


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
    number = min(MAX_WORKERS, len(os.sched_getaffinity(0)), maker.source_bytes // BYTES_PER_WORKER)
    if number < 2:  # noqa: PLR2004 - one worker is no help
        for part, block in enumerate(blocks):
            yield block, maker.make_part(part, block)
        return
    with ExitStack() as stack:
        idle: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        for _ in range(number):
            idle.put(stack.enter_context(_start_worker(maker)))
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
        except Exception as error:  # noqa: BLE001 - it is raised where the block came from
            error.add_note(traceback.format_exc())
            answer = error
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


def _start_worker(maker: PartMaker) -> subprocess.Popen[bytes]:
    environment = os.environ | {"POLARS_MAX_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    worker = subprocess.Popen(
        [sys.executable, "-m", "audited_load.workers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert worker.stdin is not None
    pickle.dump(maker, worker.stdin, pickle.HIGHEST_PROTOCOL)
    return worker


def _delegate(idle: SimpleQueue[subprocess.Popen[bytes]], part: int, block: Block) -> Tally:
    worker = idle.get()
    try:
        assert worker.stdin is not None
        assert worker.stdout is not None
        pickle.dump((part, block), worker.stdin, pickle.HIGHEST_PROTOCOL)
        worker.stdin.flush()
        answer = pickle.load(worker.stdout)  # noqa: S301 - from our own worker
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        raise UnavailableError(
            "A process that cleans a part of the file died.",
            "The machine may be out of memory: look at the system's log, then run it again. Nothing was loaded.",
        ) from error
    finally:
        idle.put(worker)
    if isinstance(answer, BaseException):
        raise answer
    assert isinstance(answer, Tally)
    return answer


def _first_of(waiting: deque[tuple[Block, Future[Tally]]]) -> tuple[Block, Tally]:
    block, future = waiting.popleft()
    return block, future.result()


if __name__ == "__main__":
    # Whatever prints must not get among the answers.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, output)
