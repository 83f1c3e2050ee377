"""Raw records of files whose columns lay in different orders lose a customer's id, wherever it lay."""

from __future__ import annotations

from audited_load.erasure import RawLayout, scrub_texts
from customer_pipeline.feed import load_tables

TABLES, _ = load_tables()
NAMES = TABLES.feed.names
FORWARD, BACKWARD = RawLayout((*NAMES, "email"), ","), RawLayout((*NAMES[::-1], "email"), ",")
PLACE = NAMES.index(TABLES.feed.subject)


def record(layout: RawLayout, customer: str) -> str:
    values = {name: f"{100 + place}" for place, name in enumerate(NAMES)} | {TABLES.feed.subject: customer}
    return ",".join(values.get(name, "a@example.org") for name in layout.header)


def test_the_id_goes_whichever_of_the_known_orders_the_file_had() -> None:
    raws = [record(layout, customer) for layout in (FORWARD, BACKWARD) for customer in ("C501", "502")]
    for known in ([FORWARD, BACKWARD], [BACKWARD, FORWARD]):
        texts = scrub_texts(raws, known, TABLES.feed, frozenset({501}))
        assert [text is None for text in texts] == [False, True, False, True], "only the customer's change"
        assert texts[0] is not None
        assert texts[2] is not None
        assert texts[0].split(",")[PLACE] == ""
        assert texts[2].split(",")[len(NAMES) - 1 - PLACE] == ""
        assert "@" not in texts[0] + texts[2], "nor do columns that nobody asked for stay"
        assert texts[0].count("10") == texts[2].count("10") == len(NAMES) - 1, "all else stays"


def test_what_fits_no_order_loses_each_word_that_means_the_id() -> None:
    plain = RawLayout(tuple(NAMES), ",")
    assert scrub_texts(["1,C501,x", "1,5010,x"], [plain], TABLES.feed, frozenset({501})) == ["1,,x", None]
