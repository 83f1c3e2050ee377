"""Which contract a file is read by: the one that somebody names, or the one whose pattern its path fits."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
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
    """

    feed: Feed
    word: str


def feed_by_contract(file: Path) -> Feed:
    """Return the feed of files that a contract describes, after a look at the standard.

    Args:
        file: The contract; the default one, or that of another file for the same table.

    Raises:
        RefusedError: It can't be obeyed; each fault is named with its path and line.
    """
    contract = read_contract(file)
    check_standard(contract)
    return _build(contract)


def _build(contract: Contract) -> Feed:
    default = read_contract(CONTRACT)
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
    for path in sorted(CONTRACT.parent.glob(PATTERN)):
        if path.resolve() == CONTRACT.resolve():
            continue
        feed = _build(read_contract(path))
        if feed.contract.id in {known.word for known in found}:
            raise RefusedError(
                f"{path.name} has the id {show_text(feed.contract.id)!r}, which another contract beside it has.",
                "Give each contract an id of its own. Nothing was loaded.",
            )
        found.append(Known(feed, feed.contract.id))
    for path in sorted((data / BROUGHT).glob(PATTERN)) if data else ():
        feed = _build(read_contract(path))
        found.append(Known(feed, f"{feed.contract.id}@{feed.contract.sha256[:DIGITS]}"))
    return found


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
            the words of the form, which go before the contract.
        usual: The form of all files: it holds for the default contract, and a word that is no other says nothing.

    Raises:
        RefusedError: There is no such contract, one can't be obeyed, or the file fits the patterns of two.
    """
    word = words.get("contract", "")
    known = known_contracts(data)
    if Path(source).parts[0] == REPLAYED:  # repaired records, which are written as they were read
        return _named(word, known).feed.in_form(CANONICAL)
    if word:
        return in_form_of_run(_named(word, known).feed, words, usual)
    fits = [one for one in known if any(data / source in data.glob(pattern) for pattern in one.feed.patterns)]
    # What was brought in says by which contract it is read.
    fits = [one for one in fits if "@" not in one.word]
    if len(fits) > 1:
        raise RefusedError(
            f"{show_text(source)} fits the patterns of {len(fits)} contracts:"
            f" {', '.join(show_text(one.word) for one in fits)}.",
            "Name one with the param of that name, or narrow `servers[0].path`. Nothing was loaded.",
        )
    return in_form_of_run((fits or known)[0].feed, words, usual)


def in_form_of_run(feed: Feed, words: Mapping[str, str], usual: Mapping[str, str]) -> Feed:
    """Return a feed in the form that a run declares: see `choose_feed`."""
    if feed.contract == CUSTOMER_TRANSACTIONS.contract:
        return in_declared_form(feed, {**usual, **words})
    return in_declared_form(feed, {name: word for name, word in words.items() if word != usual.get(name)})


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
    hashes = {(contract or default): sha256 for contract, sha256 in names} or {default: None}
    if len(hashes) > 1:
        raise RefusedError(
            f"The records are of {len(hashes)} contracts: {', '.join(map(show_text, sorted(hashes)))}.",
            f"Take them one by one, by their loads, as in {command('quarantine export --load 7 --out FILE')}."
            f" {command('quarantine list')} names the loads.",
        )
    ((word, sha256),) = hashes.items()
    known = known_contracts(data)
    found = [one for one in known if one.feed.contract.id == word]
    exact = [one for one in found if one.feed.contract.sha256 == sha256]
    return (exact or found or [_named(word, known)])[0].feed


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
