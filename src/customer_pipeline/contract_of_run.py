"""`customer-pipeline contract check FILE`: whether a contract is one, and whether all of it is obeyed."""

from __future__ import annotations

import sys
from pathlib import Path

from audited_load.contracts.build import build_feed
from audited_load.contracts.contract import read_contract
from audited_load.contracts.standard import check_standard
from audited_load.shown import escape_text
from steps.data_cleaners import RULES


def check_contract(file: Path) -> int:
    """Check a contract, and say what it describes.

    Args:
        file: The contract.

    Returns:
        0 if it can be obeyed.

    Raises:
        RefusedError: It can't be; each fault is named with its path and line.
    """
    contract = read_contract(file)
    check_standard(file)
    feed = build_feed(contract, RULES)
    sys.stdout.write(
        escape_text(f"{contract.name.id} {contract.name.version}: {len(feed.columns)} columns of {feed.name},"
                    f" key {feed.key}: {', '.join(feed.names)}") + "\n"
    )  # fmt: skip
    return 0
