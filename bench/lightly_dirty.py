"""A cleaned file → the same with one cell in a hundred written in another way, as most suppliers' files are.

Which cells these are follows from the number of the record: the same file gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

SHARE = 100
"""One cell in so many is written in another way; of these one in so many again can't be read."""
NUMBER = "source_record"


def write_lightly_dirty(cleaned: Path, out: Path) -> None:
    """Write it, in memory that does not grow with the file."""
    text = {name: pl.col(name) for name in pl.scan_csv(cleaned).collect_schema().names() if name != NUMBER}
    odd = {
        name: pl.concat_str(pl.lit(name[0].upper()), cell) for name, cell in text.items() if name.endswith("_id")
    }
    date = text["transaction_date"]
    odd["transaction_date"] = pl.concat_str(
        date.str.slice(8, 2), pl.lit("/"), date.str.slice(5, 2), pl.lit("/"), date.str.slice(0, 4)
    )
    odd["product_name"] = pl.concat_str(pl.lit(" "), text["product_name"])
    odd["quantity"] = pl.concat_str(text["quantity"], pl.lit(".0"))
    odd |= {name: pl.concat_str(pl.lit("$"), text[name]) for name in ("price", "tax")}
    cells = []
    for seed, (name, cell) in enumerate(text.items()):
        draw = (pl.col(NUMBER).cast(int) * 7919 + seed * 1237) % SHARE**2
        broken = pl.when(draw == 0).then(pl.lit("?!")).otherwise(odd[name])
        cells.append(pl.when(draw < SHARE).then(broken).otherwise(cell).alias(name))
    pl.scan_csv(cleaned, infer_schema=False).select(cells).sink_csv(out)
