"""The currencies that may stand beside an amount: their codes, their signs, what they are called."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Currency:
    """A currency: its code (ISO 4217), the signs that mean it and no other one here, and its name in the plural."""

    code: str
    signs: tuple[str, ...] = ()
    called: str = ""

    @property
    def spellings(self) -> tuple[str, ...]:
        """All that may stand beside an amount in this currency."""
        return (*self.signs, self.code)

    @property
    def has_points(self) -> bool:
        """Whether a sign ends with a point, which must not be taken for that of decimals."""
        return any("." in sign for sign in self.signs)

    def pattern(self, point: str = ".") -> str:
        """Match one of them, the code in either case.

        Args:
            point: What a point is where the rules see it: in files of decimal commas, a comma.
        """
        cases = "".join(f"[{letter}{letter.lower()}]" for letter in self.code)
        signs = [re.escape(sign.replace(".", point)) for sign in sorted(self.signs, key=len, reverse=True)]
        return f"(?:{'|'.join([*signs, cases])})"

    @property
    def starts(self) -> str:
        """Characters, one of which is in each spelling."""
        return "".join(dict.fromkeys(spelling[0] for spelling in (*self.spellings, self.code.lower()) if spelling))

    def __str__(self) -> str:
        """Name it for people."""
        return self.called or self.code


NO_CURRENCY = Currency("")
_OTHERS = (
    *("AED", "AUD", "CAD", "CNY", "CZK", "DKK", "HKD", "HUF", "KRW", "MXN", "NOK", "NZD", "RON", "SEK", "SGD"),
    *("THB", "ZAR"),
)
_KNOWN = (
    Currency("USD", ("$", "US$"), "US dollars"),
    Currency("EUR", ("\u20ac",), "euros"),
    Currency("GBP", ("\u00a3",), "pounds sterling"),
    Currency("CHF", ("Fr.", "SFr."), "Swiss francs"),
    Currency("JPY", ("\u00a5",), "yen"),
    Currency("IDR", ("Rp", "Rp."), "rupiah"),
    Currency("BRL", ("R$",), "reais"),
    Currency("ILS", ("\u20aa",), "shekels"),
    Currency("INR", ("\u20b9",), "rupees"),
    Currency("PLN", ("z\u0142",), "zloty"),
    Currency("RUB", ("\u20bd",), "roubles"),
    Currency("TRY", ("\u20ba",), "lira"),
    Currency("UAH", ("\u20b4",), "hryvnias"),
    *map(Currency, _OTHERS),
)
CURRENCIES = {spelling.lower(): currency for currency in _KNOWN for spelling in currency.spellings}
"""By each of their spellings, in lower case."""


def other_currencies(own: Currency) -> str:
    """Build the pattern of all that may stand beside an amount in another currency than this one."""
    codes = sorted(currency.code for currency in _KNOWN if currency is not own)
    single = "".join(rf"\x{{{ord(sign):X}}}" for sign in own.signs if len(sign) == 1)
    # The cent is a part of some of them.
    return rf"(?:[\p{{Sc}}--[{single}\x{{A2}}]]|(?i-u:{'|'.join(codes)}))"
