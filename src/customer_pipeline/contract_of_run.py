"""The contract that somebody names: checked, and made the feed of a file."""

from __future__ import annotations

import sys
from pathlib import Path

from audited_load.columns import Feed
from audited_load.contracts.build import build_feed
from audited_load.contracts.contract import read_contract
from audited_load.contracts.other_file import build_other_feed
from audited_load.contracts.standard import check_standard
from audited_load.shown import escape_text
from steps.data_cleaners import CONTRACT, RULES


def feed_by_contract(file: Path) -> Feed:
    """Return the feed of files that a contract describes.

    Args:
        file: The contract; the default one, or that of another file for the same table.

    Raises:
        RefusedError: It can't be obeyed; each fault is named with its path and line.
    """
    contract, default = read_contract(file), read_contract(CONTRACT)
    check_standard(contract)
    if contract.data["id"] == default.data["id"]:
        return build_feed(contract, RULES)
    return build_other_feed(contract, default, RULES)


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
    sys.stdout.write(escape_text(f"{said}: {', '.join(feed.names)}") + "\n")
    return 0
