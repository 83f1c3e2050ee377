"""The options by which a command declares how a file is written."""

from __future__ import annotations

import argparse
import os

from audited_load.form import DATE_ORDERS, DECIMALS, Form, form_of_all, read_form


def add_form(parser: argparse.ArgumentParser) -> None:
    """Declare the options; what is left out is as the settings say."""
    parser.add_argument("--decimal", choices=DECIMALS, help="what stands before decimals")
    parser.add_argument("--date-order", choices=DATE_ORDERS, help="what comes first in 03/04/2023")
    parser.add_argument("--encoding", help="such as utf-8 or windows-1251; auto: found out")


def declared_form(arguments: argparse.Namespace) -> Form:
    """Give the form that the options and the settings declare.

    Raises:
        RefusedError: A word is unknown.
    """
    words = {name: getattr(arguments, name) for name in ("encoding", "decimal", "date_order")}
    return read_form(form_of_all(os.environ).words() | {name: word for name, word in words.items() if word})
