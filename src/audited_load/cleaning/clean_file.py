"""A dirty file → the cleaned file, the rejected file and the accounting of every record."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from audited_load.clean_report import SUPERSEDED, CleanReport, add_exact
from audited_load.cleaning.assemble import Dropped, assemble_parts
from audited_load.cleaning.duplicates import KeyStore
from audited_load.cleaning.evidence import judge
from audited_load.cleaning.layout import Layout
from audited_load.cleaning.outputs import cleaned_and_rejected, refuse_own_input
from audited_load.cleaning.parts import PartMaker, Tally
from audited_load.cleaning.workers import make_parts
from audited_load.columns import Feed
from audited_load.erasing.subjects import ErasedSubjects
from audited_load.errors import RefusedError, UnavailableError
from audited_load.progress import Progress
from audited_load.reading.dialect import normalise_name
from audited_load.reading.encoding import GUESSED
from audited_load.reading.records import Block, cut_blocks
from audited_load.reading.source import Source, has_changed, inspect_file, read_chunks
from audited_load.shown import NOT_SHOWN, show_name, show_text

SHOWN_COLUMNS = 50

_WORK = ".cleaning-"


def clean_file(
    path: Path,
    feed: Feed,
    out: Path,
    progress: Progress | None = None,
    erased: ErasedSubjects | None = None,
    masking_key: str = "",
) -> CleanReport:
    """Clean a file by the rules of a feed.

    Both files appear under their final names only when they are whole. They are the same bytes however
    often the file is cleaned, and on however many processors.

    Args:
        path: The dirty file.
        feed: Its columns and their rules.
        out: Folder for the cleaned and the rejected file; made if missing.
        progress: Told how far it is, block by block.
        erased: Who was erased: their ids are blank in all that is written, and count as the rule `erased` of the
            feed's subject. None if nobody was.
        masking_key: What values are hashed with that must not be written. Secret.

    Returns:
        The accounting.

    Raises:
        UnusableFileError: The file can't be read as records of this feed.
        RefusedError: The file would be overwritten, or the feed masks values and there is no key.
        UnavailableError: The file changed meanwhile, the disk has no room, or a worker died.
    """
    cleaned, rejected = cleaned_and_rejected(out, feed.name)
    refuse_own_input(path, (cleaned, rejected))
    require_key(feed, masking_key)
    source = find_source(path, feed)
    layout = layout_of(source, feed, erased, masking_key)
    with work_folder(out, source.bytes) as work:
        maker = PartMaker(layout, work, source.bytes)
        tally, sha256, parts = _make_parts(source, maker, progress or (lambda _bytes, _records: None))
        losers = KeyStore(work, source.bytes).find_losers()
        with ThreadPoolExecutor(1) as thread:
            changed = thread.submit(has_changed, source, sha256)
            dropped = assemble_parts(work, parts, losers, source, layout, work / cleaned.name, work / rejected.name)
        if changed.result():
            raise UnavailableError(
                f"{path.name}: the file changed while it was read.",
                "Wait until the delivery is complete, then run it again. Nothing was loaded.",
            )
        (work / cleaned.name).replace(cleaned)
        (work / rejected.name).replace(rejected)
    return report_of(source, sha256, feed, tally, dropped, (str(cleaned), str(rejected)))


def require_key(feed: Feed, masking_key: str) -> None:
    """Check that there is a key if values must be masked.

    Raises:
        RefusedError: There is none.
    """
    if feed.needs_key and not masking_key:
        raise RefusedError(
            f"The contract {feed.contract.id} masks columns, but ERASURE_KEY is not set.",
            "Set it to the installation's own: `.runtime/erasure.key`, under Docker in `.env`. Nothing was read.",
        )


def find_source(path: Path, feed: Feed) -> Source:
    """Find out how to read a file as records of a feed.

    Raises:
        UnusableFileError: It can't be read so.
    """
    required = [name for name in feed.names if name not in feed.optional]
    source = inspect_file(path, [*feed.names, *feed.dropped], feed.key, required, feed.form, feed.aliases)
    source.positions(required)
    return source


def layout_of(source: Source, feed: Feed, erased: ErasedSubjects | None, masking_key: str) -> Layout:
    """Say how the feed's columns lie in a file."""
    positions = source.find([*feed.names, *feed.dropped])
    return Layout(
        feed,
        source.dialect,
        tuple(positions[: len(feed.names)]),
        tuple(place for place in positions[len(feed.names) :] if place is not None),
        source.encoding.origin == GUESSED,
        erased,
        masking_key,
    )


def _make_parts(source: Source, maker: PartMaker, progress: Progress) -> tuple[Tally, str, int]:
    """Make all parts; give their accounting, the sha256 of what was read, and their number."""
    digest = _CountedDigest()
    cut_at: deque[int] = deque()
    tally, parts = Tally(totals={total.name: Decimal(0) for total in maker.layout.feed.totals}), 0
    blocks = cut_blocks(
        read_chunks(source, digest),
        maker.layout.dialect,
        offset=source.body_offset,
        first_line=source.body_line,
    )
    for _, done in make_parts(maker, _note(blocks, digest, cut_at)):
        tally.add(done)
        parts += 1
        progress(cut_at.popleft(), tally.read)
    return tally, digest.sha256.hexdigest(), parts


class _CountedDigest:
    """The sha256 of what was read, and how much that is: bytes as they lie on the disk."""

    def __init__(self) -> None:
        self.sha256, self.bytes = hashlib.sha256(), 0

    def update(self, data: bytes) -> None:
        self.sha256.update(data)
        self.bytes += len(data)


def _note(blocks: Iterable[Block], digest: _CountedDigest, cut_at: deque[int]) -> Iterator[Block]:
    """Note how much of the file was read when each block was cut: blocks are read well before they are clean."""
    for block in blocks:
        cut_at.append(digest.bytes)
        yield block


def report_of(
    source: Source, sha256: str, feed: Feed, tally: Tally, dropped: Dropped, files: tuple[str, str]
) -> CleanReport:
    """Sum up what became of a file.

    Args:
        source: The file.
        sha256: Of its bytes.
        feed: By which it was read.
        tally: Of all its blocks; what was dropped is taken off.
        dropped: What gave way to later records.
        files: Places of the cleaned and of the rejected file.
    """
    add_exact(tally.totals, dropped.totals, sign=-1)
    if dropped.superseded:
        tally.refused[SUPERSEDED] += dropped.superseded
    names, judgement = _show_header(source, feed), judge(tally.evidence, source.dialect.delimiter)
    return CleanReport(
        source=source.path.name,
        sha256=sha256,
        bytes=source.bytes,
        encoding=str(source.encoding),
        delimiter=source.dialect.delimiter,
        header=[shown for shown, _ in names],
        read=tally.read,
        accepted=tally.accepted - dropped.duplicates - dropped.superseded,
        quarantined=tally.quarantined + dropped.superseded,
        duplicates=dropped.duplicates,
        superseded=dropped.superseded,
        blank_lines=tally.blank_lines,
        reasons=dict(sorted(tally.refused.items())),
        rules=dict(sorted({**tally.changed, **_note_file(source), **judgement.notes}.items())),
        totals={name: str(value) for name, value in tally.totals.items()},
        ignored_columns=_shorten([shown for shown, is_known in names if shown and not is_known]),
        cleaned_file=files[0],
        rejected_file=files[1],
        doubts=judgement.doubts,
        hints=judgement.hints,
        columns=[(column.name, column.sql_type) for column in feed.columns],
        unknown_columns=_shorten([shown for shown, is_known in names if shown and is_known is None]),
        missing_columns=[name for name in feed.optional if name not in source.names],
        contract={"id": feed.contract.id, "version": feed.contract.version, "sha256": feed.contract.sha256},
        read_as=[
            name if is_known else normalise_name(shown)
            for (shown, is_known), name in zip(names, source.names, strict=True)
        ],
    )


def _show_header(source: Source, feed: Feed) -> list[tuple[str, bool | None]]:
    """Return each name of the header as it may be shown, and whether it is kept; None if nobody knows it.

    If one of the others doesn't look like a name, none is shown: the first record may have got into the header.
    """
    read, known = {*feed.names, *feed.dropped}, {*feed.names, *feed.dropped, *feed.left_out}
    plain = source.names
    shown = [show_name(name) if name.strip() else "" for name in source.dialect.header]
    hide = any(text == NOT_SHOWN for text, name in zip(shown, plain, strict=True) if name not in known)
    found: list[tuple[str, bool | None]] = []
    for name, bare, text in zip(source.dialect.header, plain, shown, strict=True):
        if bare in known:
            found.append((name if show_text(name) == name else bare, bare in read))
        else:
            found.append((NOT_SHOWN if hide and text else text, None))
    return found


def _note_file(source: Source) -> dict[str, int]:
    """Say what was found about the file as a whole, so that it counts like a rule."""
    notes = {
        "file:lines_above_header": source.lines_above,
        "file:sep_line": int(source.sep_line),
        "file:blank_last_field": int(source.dialect.blank_last),
    }
    return {name: number for name, number in notes.items() if number}


def _shorten(names: list[str]) -> list[str]:
    """Name a few of very many columns."""
    shown = [name[:60] for name in names[:SHOWN_COLUMNS]]
    return shown if len(names) <= SHOWN_COLUMNS else [*shown, f"and {len(names) - SHOWN_COLUMNS} more"]


@contextmanager
def work_folder(out: Path, source_bytes: int) -> Iterator[Path]:
    """Make a folder for what is not whole yet, and remove those that killed processes left behind.

    Args:
        out: Where to make it.
        source_bytes: Size of what is to be cleaned there.

    Raises:
        UnavailableError: There is no room, or the folder can't be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        for left in out.glob(f"{_WORK}*"):
            with (left / "lock").open("a") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(left, ignore_errors=True)
        needed, free = 3 * source_bytes + 2**24, shutil.disk_usage(out).free
        if free < needed:
            raise UnavailableError(
                f"{out}: {free // 2**20} MiB free, {needed // 2**20} MiB needed to clean the file.",
                "Make room on that disk, then run it again.",
            )
        with (
            tempfile.TemporaryDirectory(prefix=_WORK, dir=out) as folder,
            (Path(folder) / "lock").open("w") as lock,
        ):
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(folder)
    except OSError as error:
        raise UnavailableError(
            f"{out}: can't be written to: {error.strerror or error}.",
            "Check the folder's rights and the disk, then run it again. Nothing was loaded.",
        ) from error
