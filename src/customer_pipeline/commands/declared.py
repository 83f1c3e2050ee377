"""The options by which a command declares how a file is written."""

from __future__ import annotations

import argparse
import os

from audited_load.form import DATE_ORDERS, DECIMALS, SETTINGS, Form, form_of_all, read_form


def add_form(parser: argparse.ArgumentParser) -> None:
    """Declare the options; what is left out is as the settings say."""
    parser.add_argument("--decimal", choices=DECIMALS, help="what stands before decimals")
    parser.add_argument("--date-order", choices=DATE_ORDERS, help="what comes first in 03/04/2023")
    parser.add_argument("--encoding", help="such as utf-8 or windows-1251; auto: found out")


def given_words(arguments: argparse.Namespace) -> dict[str, str]:
    """Give what the options say, as params of a run; what they don't say, the settings of its services do.

    Raises:
        RefusedError: A word is unknown.
    """
    words = {name: getattr(arguments, name) for name in SETTINGS}
    given = {name: word for name, word in words.items() if word}
    read_form(given)
    return given


def declared_form(arguments: argparse.Namespace) -> Form:
    """Give the form that the options and the settings declare.

    Raises:
        RefusedError: A word is unknown.
    """
    return read_form(form_of_all(os.environ).words() | given_words(arguments))
