"""Which contract a file is read by: the one that somebody names, or the one whose pattern its path fits."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from audited_load.cleaning.outputs import write_whole
from audited_load.columns import Feed
from audited_load.command import command
from audited_load.contracts.build import build_feed
from audited_load.contracts.contract import Contract, read_contract
from audited_load.contracts.other_file import build_other_feed
from audited_load.contracts.shapes import nearest
from audited_load.contracts.standard import check_standard
from audited_load.errors import RefusedError, UnavailableError
from audited_load.form import AUTO, Form, read_form
from audited_load.shown import escape_text, show_text
from steps.data_cleaners import CONTRACT, CUSTOMER_TRANSACTIONS, RULES, TAKEN

BROUGHT = "contracts"
"""Where in the data folder contracts lie that `run --contract` brought from elsewhere; they stay, for erasing."""
PATTERN = "*.odcs.yaml"
REPLAYED = "replayed"
"""Where repaired records lie in the data folder: apart from where deliveries arrive."""
CANONICAL = Form("utf-8", "point", "day_first", ",")
"""How they are written."""
DIGITS = 12


@dataclass(frozen=True)
class Known:
    """A contract that a run may name.

    Attributes:
        feed: What it describes.
        word: How it is named: its id; one that was brought from elsewhere, with the beginning of its sha256.
        is_brought: Whether it was brought from elsewhere, and is only used where it is named.
    """

    feed: Feed
    word: str
    is_brought: bool = False


def feed_by_contract(file: Path) -> Feed:
    """Return the feed of files that a contract describes, after a look at the standard.

    Args:
        file: The contract; the default one, or that of another file for the same table.

    Raises:
        RefusedError: It can't be obeyed; each fault is named with its path and line.
    """
    contract = read_contract(file)
    check_standard(contract)
    return _build(contract, read_contract(CONTRACT))


def _build(contract: Contract, default: Contract) -> Feed:
    if contract.data["id"] == default.data["id"]:
        return build_feed(contract, RULES, TAKEN)
    return build_other_feed(contract, default, RULES, TAKEN)


def known_contracts(data: Path | None = None) -> list[Known]:
    """Return the contracts that there are: the default one first, then those beside it, then those brought in.

    Args:
        data: The data folder; None for none of those brought in.

    Raises:
        RefusedError: One can't be obeyed, or two have one id.
    """
    found = [Known(CUSTOMER_TRANSACTIONS, CUSTOMER_TRANSACTIONS.contract.id)]
    beside = sorted(path for path in CONTRACT.parent.glob(PATTERN) if path.resolve() != CONTRACT.resolve())
    brought = sorted((data / BROUGHT).glob(PATTERN)) if data else []
    if not (beside or brought):
        return found
    default = read_contract(CONTRACT)
    for path in beside:
        feed = _build(read_contract(path), default)
        if feed.contract.id in {known.word for known in found}:
            raise RefusedError(
                f"{path.name} has the id {show_text(feed.contract.id)!r}, which another contract beside it has.",
                "Give each contract an id of its own. Nothing was loaded.",
            )
        found.append(Known(feed, feed.contract.id))
    for path in brought:
        feed = _build(read_contract(path), default)
        found.append(Known(feed, f"{feed.contract.id}@{feed.contract.sha256[:DIGITS]}", is_brought=True))
    return found


def _require_alike(feed: Feed, known: Sequence[Known]) -> None:
    """Refuse a contract that shows what another one masks, or the other way round: one column would hold both."""
    masks = {column.name: column.masking for column in feed.columns if column.further}
    for other in known:
        for column in other.feed.columns:
            if column.further and masks.get(column.name, column.masking) != column.masking:
                raise RefusedError(
                    f"The column {column.name} is masked by one of the contracts {show_text(feed.contract.id)} and"
                    f" {show_text(other.word)}, and shown by the other.",
                    "Declare it under another name in one of them. Nothing was loaded.",
                )


def known_feeds(data: Path | None = None) -> tuple[Feed, ...]:
    """Return the feeds of all contracts, the default one first: whose files there may be.

    Args:
        data: The data folder.

    Raises:
        RefusedError: A contract can't be obeyed; each fault is named with its path and line.
    """
    return tuple(known.feed for known in known_contracts(data))


def choose_feed(data: Path, source: str, words: Mapping[str, str], usual: Mapping[str, str]) -> Feed:
    """Return the feed by which a file is read, in the form that it is declared to have.

    Args:
        data: The data folder.
        source: The file, relative to it.
        words: `contract`, the word of one, or blank: the one whose pattern the file fits, else the default one; and
            the words of the form that somebody gave, which go before the contract.
        usual: The form of all files, which holds for the default contract.

    Raises:
        RefusedError: There is no such contract, one can't be obeyed, or the file fits the patterns of two.
    """
    word = words.get("contract", "")
    known = known_contracts(data)
    if Path(source).parts[0] == REPLAYED:  # repaired records, which are written as they were read
        return _named(word or known[0].word, known).feed.in_form(CANONICAL)
    if word:
        return _checked(_named(word, known).feed, known, words, usual)
    fits = [
        one for one in known if not one.is_brought and any(_fits(source, pattern) for pattern in one.feed.patterns)
    ]
    if len(fits) > 1:
        raise RefusedError(
            f"{show_text(source)} fits the patterns of {len(fits)} contracts:"
            f" {', '.join(show_text(one.word) for one in fits)}.",
            "Name one with the param of that name, or narrow `servers[0].path`. Nothing was loaded.",
        )
    return _checked((fits or known)[0].feed, known, words, usual)


def _checked(feed: Feed, known: Sequence[Known], words: Mapping[str, str], usual: Mapping[str, str]) -> Feed:
    _require_alike(feed, known)
    return in_form_of_run(feed, words, usual)


def _fits(source: str, pattern: str) -> bool:
    """Return whether a path fits a pattern, in any case, compressed or not; `**` is any folders, or none."""
    path, wanted = (re.sub(r"\.(gz|zst)$", "", text.lower()).split("/") for text in (source, pattern))
    return _fit(path, wanted)


def _fit(path: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_fit(path[start:], pattern[1:]) for start in range(len(path) + 1))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and _fit(path[1:], pattern[1:])


def in_form_of_run(feed: Feed, words: Mapping[str, str], usual: Mapping[str, str]) -> Feed:
    """Return a feed in the form that a run declares: see `choose_feed`."""
    is_default = feed.contract == CUSTOMER_TRANSACTIONS.contract
    return in_declared_form(feed, {**usual, **words} if is_default else words)


def word_of(feed: Feed, data: Path) -> str:
    """Return how the contract of a feed is named in a run."""
    return next(known.word for known in known_contracts(data) if known.feed.contract == feed.contract)


def feed_of_contracts(names: Iterable[tuple[str | None, str | None]], data: Path) -> Feed:
    """Return the feed of records that were read by some contracts, which must be one.

    Args:
        names: Id and sha256 of each; None for records of before loads had one, which are of the default one.
        data: The data folder.

    Raises:
        RefusedError: They are several, or the contract is gone.
    """
    default = CUSTOMER_TRANSACTIONS.contract.id
    wanted = {(contract or default, sha256) for contract, sha256 in names} or {(default, None)}
    known = known_contracts(data)
    feeds: list[Feed] = []
    for word, sha256 in sorted(wanted, key=str):
        found = [one.feed for one in known if one.feed.contract.id == word]
        exact = [feed for feed in found if feed.contract.sha256 == sha256]
        feeds.append((exact or found or [_named(word, known).feed])[0])
    if any((feed.contract.id, feed.form, feed.aliases) != (feeds[0].contract.id, feeds[0].form, feeds[0].aliases)
           for feed in feeds):  # fmt: skip
        raise RefusedError(
            f"The records are of several contracts: {', '.join(sorted({show_text(word) for word, _ in wanted}))}.",
            f"Take them one by one, by their loads, as in {command('quarantine export --load 7 --out FILE')}."
            f" {command('quarantine list')} names the loads.",
        )
    return feeds[0]


def _named(word: str, known: list[Known]) -> Known:
    found = [one for one in known if one.word == word]
    if not found:
        words = [one.word for one in known]
        raise RefusedError(
            f"There is no contract {show_text(word)!r}: {nearest(word, words)}",
            f"Put it into `contracts/`, or give its file: {command('run FILE --contract CONTRACT.odcs.yaml')}.",
        )
    return found[0]


def in_declared_form(feed: Feed, words: Mapping[str, str]) -> Feed:
    """Return a feed in the form that a run or a command declares; what that leaves out is the contract's.

    Raises:
        RefusedError: A word of the form is unknown.
    """
    form = read_form(words)
    given = {name: getattr(form, name) for name in form.words() if (words.get(name) or AUTO) != AUTO}
    return feed.in_form(replace(feed.form, **given))


def bring_contract(named: str, data: Path) -> str:
    """Make a contract known that a command names, by its file or its id.

    Args:
        named: A file, or the word of a known contract.
        data: The data folder: a contract from elsewhere is copied there.

    Returns:
        Its word.

    Raises:
        RefusedError: It can't be obeyed, or there is none.
        UnavailableError: It can't be copied.
    """
    file = Path(named)
    if not file.is_file():
        return _named(named, known_contracts(data)).word
    contract = feed_by_contract(file).contract
    for known in known_contracts(data):
        if (known.feed.contract.id, known.feed.contract.sha256) == (contract.id, contract.sha256):
            return known.word
        if known.word == contract.id:
            raise RefusedError(
                f"{show_text(named, 4096)} has the id {show_text(contract.id)!r}, which another contract in"
                " `contracts/` has.",
                "Give it an id of its own, or change the one that is there. Nothing was loaded.",
            )
    digits = contract.sha256[:DIGITS]
    place = data / BROUGHT / f"{re.sub(r'[^A-Za-z0-9_-]', '_', contract.id)[:80]}-{digits}.odcs.yaml"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, file.read_bytes(), force=True, mode=0o644)
    except OSError as error:
        raise UnavailableError(
            f"{place}: {error.strerror}.", "Check the disk and its rights, then run again."
        ) from error
    return f"{contract.id}@{digits}"


def check_contract(file: Path) -> int:
    """Check a contract, and say what it describes.

    Args:
        file: The contract.

    Returns:
        0 if it can be obeyed.

    Raises:
        RefusedError: It can't be; each fault is named with its path and line.
    """
    feed = feed_by_contract(file)
    said = f"{feed.contract.id} {feed.contract.version}: {len(feed.columns)} columns of {feed.name}, key {feed.key}"
    lines = [f"{said}: {', '.join(feed.names)}"]
    further = [column.name for column in feed.columns if column.further]
    masked = [column.name for column in feed.columns if column.masking]
    for what, names in (("further", further), ("hashed", masked), ("dropped", feed.dropped)):
        lines += [f"  {what}: {', '.join(names)}"] if names else []
    sys.stdout.write(escape_text("\n".join(lines)) + "\n")
    return 0
