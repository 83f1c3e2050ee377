"""Mutants that change no cell of any mart, whatever the supplier sends, each with its reason.

A model that is changed may make one of them wrong, and then it is to be shown anew.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Equivalent(NamedTuple):
    """Why some mutants are none: patterns of where they are, and of what is changed into what."""

    reason: str
    where: str
    change: str
    line: str = ""


CAST = r"(.+)::(?:numeric\(\d+, \d\)|bigint) → \1"
TYPED = "The contract gives the column this type, and nothing has more places."
MORE = "More is counted anew than has to be: what is counted anew is right, so this costs time only."
KEPT = "Each row has a key of its own, and there is none to leave out."
ANYHOW = (
    "Every line that a merge touches is there as it is now, and those that were there before as they were, too."
)
SAME_SEARCH = "What was published is found again, among the lines that the merge left alone."

EQUIVALENTS = [
    # Types, places, order
    Equivalent(TYPED, r".* \(build\) .*|.* \(merge\) adjusted", CAST),
    Equivalent("Of round() and the cast, either rounds to the same places.", ".*", r"round\((.*), [24]\) → \(\1\)"),
    Equivalent("A day compares with midnight as with that day.", "agg_monthly_sales .*", r"(.*)::date → \1"),
    Equivalent(
        "The order of groups is nobody's concern.", ".* (latest_names|renamed)", "asc → desc", "product_id asc"
    ),
    Equivalent(KEPT, ".*", "all → nothing"),
    Equivalent(KEPT, ".*_gone", "distinct → nothing"),
    Equivalent(KEPT, ".* neighbours", "union → union all"),
    Equivalent(
        "In another order it takes longer.",
        r"agg_monthly_sales \(merge\) (changed_months|neighbours)",
        "order by 1, 2 → nothing|1 → 2|2 → 1",
        "order by",
    ),
    Equivalent(
        "No units are multiplied with it.",
        r"(?!dim_products \(merge\) changed).* \(merge\) .*",
        "sign::bigint → sign",
    ),
    Equivalent(
        "Of the last date, its month is asked.",
        r"dim_dates \(merge\) ends",
        "published.last_day → published.last_month",
        "greatest",
    ),
    # What is unknown
    Equivalent(
        "A day has one month, with a time zone and without.", "stg_.*", r"(.*)::timestamp → \1", "date_trunc"
    ),
    Equivalent(
        "It is asked for only where something is known.",
        r"dim_\w+ \(build\) (counted|per_product)",
        r"coalesce\(.*\) → .*|0 → -?1",
        "as known_",
    ),
    Equivalent(
        "Where nothing is without it, all know it or there are no transactions.",
        r"dim_\w+ \(build\) (valued|measured)",
        r"(times_sold|lifetime_transactions) → transactions_without_(units|amount)",
    ),
    Equivalent(
        "Prices have an average, a lowest and a highest, or none of them.",
        r"dim_products \(build\) final",
        "average_price → (minimum|maximum)_price",
        "'Budget'",
    ),
    # Joins of which one side is always there
    Equivalent(
        "A foreign key: each line's customer is there.", r"fact_transactions \(build\) final", "left → inner"
    ),
    Equivalent(
        "Those that were not published are counted anew, and not adjusted.",
        r"dim_\w+ \(merge\) (adjusted|renamed|price_ranges|date_ranges)",
        "inner → left",
    ),
    Equivalent(
        "Null is what a line that is not there has in every column.",
        ".* transactions",
        ".*id → changed.sign",
    ),
    Equivalent(ANYHOW, r"dim_customers \(merge\) transactions", "= → <>|changed.sign = -1 → true", "sign = -1"),
    Equivalent(
        ANYHOW,
        r"dim_products \(merge\) (lost|remaining)",
        "= → <>|(where )?sign = -1 → (true|nothing)",
        "sign = -1",
    ),
    Equivalent("Nobody asks for those that were not touched.", r"dim_products \(merge\) lost", "inner → left"),
    Equivalent("A line that is counted for nobody.", ".* transactions", "inner → left", "recounted"),
    # Merges that count more anew
    Equivalent(MORE, r"dim_customers \(merge\) recounted", "days.customer_id = published.customer_id → false"),
    Equivalent(MORE, r"dim_customers \(merge\) recounted", r"(where )?(\(|published|days).* → (nothing|true)"),
    Equivalent(MORE, r"dim_customers \(merge\) recounted", r"published.customer_id → published\.\w+", "null"),
    Equivalent(MORE, r"dim_customers \(merge\) recounted", r"and → or|-1 → -2|.*'infinity'\) → \('infinity'\)"),
    Equivalent(MORE, r"dim_customers \(merge\) recounted", "< → <=|0 → 1", "^or|transactions < 0"),
    Equivalent(MORE, r"dim_customers \(merge\) transactions", r"customer_id in \(.*\) → true"),
    Equivalent("It costs time only.", r"dim_products \(build\) transactions", "not → nothing", "materialized"),
    Equivalent(MORE, r"dim_products \(merge\) remaining", r"\(lost.* → true"),
    Equivalent(MORE, r"dim_products \(merge\) lost", r"f\..* → false|and → or|0 → 1"),
    Equivalent(MORE, r"dim_dates \(merge\) ends", r".* → \(?true\)?|and → or|< → <="),
    Equivalent(
        MORE,
        r"dim_dates \(merge\) ends",
        "published.second_month → published.(last_day|last_month)",
        "earliest_gone <",
    ),
    Equivalent(
        MORE, r"dim_dates \(merge\) ends", ".*earliest → touched.latest|.*second_month → published.first_day"
    ),
    Equivalent(
        MORE,
        r"dim_dates \(merge\) ends",
        "published.last_month → published.(first_day|second_month)",
        "latest_gone >=",
    ),
    Equivalent(
        MORE, r"dim_dates \(merge\) ends", ".*latest → touched.earliest|.*last_month → published.last_day", "<"
    ),
    Equivalent(
        "A merge takes no transaction away: some come.",
        r"dim_dates \(merge\) ends",
        r"coalesce\((.*), true\) → \(\1\)|true → false",
    ),
    Equivalent(MORE, r"dim_products \(merge\) recounted", "changed.product_id = published.product_id → false"),
    Equivalent(MORE, r"dim_products \(merge\) recounted", "distinct → nothing|union → union all|inner → left"),
    Equivalent(MORE, r"dim_products \(merge\) recounted", r"(where |published|before|now|\().* → (nothing|true)"),
    Equivalent(MORE, r"dim_products \(merge\) recounted", r"and → or|(before|now).product_id → \1.sign"),
    Equivalent(MORE, r"fact_transactions \(merge\) moved", r"inner → left|(where )?\(.* → (nothing|true)"),
    # Merges that search where they need not
    Equivalent(SAME_SEARCH, r"dim_products \(merge\) (prices|days)", r"sum → min"),
    Equivalent(
        "As many come as go: the value is there still, and one that comes is looked at anyhow.",
        r"dim_products \(merge\) (prices|days)",
        r"sum\(sign\) → sum\(distinct sign\)",
    ),
    Equivalent(SAME_SEARCH, r"dim_products \(merge\) \w+_ranges", "< → <=|0 → 1|and → or|.*product_id → true"),
    Equivalent(
        "A null is no lowest price, and no price that was lost.", ".* prices", "(where )?price.* → .*", "is not"
    ),
    Equivalent("The later of the two is the published one, if they are the same.", ".* renamed", ">= → >"),
    Equivalent(
        "A line that was there before is not later than the one that gave the name.", ".* renamed", ".*1 → true"
    ),
    Equivalent("A name has a day and a transaction, or neither.", ".* renamed", ".*named_by → published.named_on"),
    Equivalent(
        "A day on which as many come as go had a transaction before.",
        r"dim_customers \(merge\) adjustments",
        "> → >=|0 → -1",
        "filter",
    ),
    # What goes, and how it is shown
    Equivalent(
        "A key that is new is among the rows that change.", ".*_gone", "(where )?sign = -1 → (nothing|true)"
    ),
    Equivalent("A merge takes no transaction away.", r"fact_transactions \(merge\) fact_transactions_gone", ".*"),
    Equivalent(
        "A merge takes no transaction away.", r"fact_transactions \(merge\) fact_transactions", ".*", "_gone"
    ),
    Equivalent(
        "What is said of a day never changes.", r"dim_dates \(merge\) dim_dates", ".* → (true|false)", "_delta"
    ),
    Equivalent("This mart does not ask for it.", r"agg_monthly_sales \(merge\) changed_months", r"sign → \w+"),
]


def equivalence_of(where: str, change: str, line: str) -> Equivalent | None:
    """Find the reason why a mutant changes nothing; None if there is none."""
    for known in EQUIVALENTS:
        if re.fullmatch(known.where, where) and re.fullmatch(known.change, change) and re.search(known.line, line):
            return known
    return None
