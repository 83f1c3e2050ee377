"""A supplier with two personal columns and one more: its contract, its header, what becomes of a value."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from audited_load.columns import Feed
from customer_pipeline.contract_of_run import feed_by_contract

KEY = "key of the test"
CONTRACT = """apiVersion: v3.2.0
kind: DataContract
id: shop
version: 1.0.0
status: active
servers:
  - {server: incoming, type: local, path: incoming/shop/*.csv, format: csv}
schema:
  - name: customer_transactions
    properties:
      - {name: branch, logicalType: string}
      - name: email
        logicalType: string
        classification: personal
        synonyms: [{synonym: E-Mail}]
        customProperties: [{property: masking, value: hash}]
      - name: phone
        logicalType: string
        classification: personal
        customProperties: [{property: masking, value: drop}]
"""
HEADER = (
    "transaction_id,customer_id,transaction_date,product_id,product_name,quantity,price,tax,branch,E-Mail,phone"
)


def shop(folder: Path, text: str = CONTRACT) -> Feed:
    path = folder / "shop.odcs.yaml"
    path.write_text(text)
    return feed_by_contract(path)


def hashed(value: str) -> str:
    return hmac.new(KEY.encode(), f"email\0{value}".encode(), hashlib.sha256).hexdigest()
