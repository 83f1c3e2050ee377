"""What can't be answered is a page that says why, in the frame of the others and with its status."""

from __future__ import annotations

import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient

from audited_load.errors import UnavailableError
from pipeline_page.web import create_app
from pipeline_page.web_assets import HEADERS

NOWHERE = "host=/nowhere dbname=x connect_timeout=1"


def page(guard: object = None, find_dsn: object = None) -> TestClient:
    app = create_app(find_dsn or (lambda: NOWHERE), lambda: None, guard or (lambda: None))  # type: ignore[arg-type]
    return TestClient(app, raise_server_exceptions=False)


@pytest.fixture
def client() -> TestClient:
    return page()


@pytest.mark.parametrize("path", ["/nothing", "/nothing/at/all", "/today/", "/page.css/x", "/%00"])
def test_an_unknown_address_is_a_page_that_leads_back_to_the_views(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "There is no such view" in answer.text
    up = "../" * (path.count("/") - 1)
    for name in ("today", "quality", "sales", "loads"):
        assert f'href="{up}{name}"' in answer.text
    assert f'href="{up}page.css' in answer.text
    for name, value in HEADERS.items():
        assert answer.headers[name] == value


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("sales?first=2023-7", "“first” can&#39;t be used: it has to be a month such as 2023-07."),
        ("sales?first=2023-07&last=x", "“last” can&#39;t be used: it has to be a month such as 2023-07."),
        ("quality?reason=A B", "“reason” can&#39;t be used: it has to be a reason such as price:exponent."),
        ("loads?from=2023-02-31", "“from” can&#39;t be used: it has to be a day such as 2025-12-04."),
        ("loads?status=lost", "“status” can&#39;t be used: it has to be one of published"),
        ("loads.csv?before=0", "“before” can&#39;t be used: it has to be the number of a load."),
        (f"compare?a={2**63}&b=1", "“a” can&#39;t be used: it has to be the number of a load."),
        ("compare?a=1&b=<b>", "“b” can&#39;t be used: it has to be the number of a load."),
    ],
)
def test_a_parameter_that_cant_be_used_is_named_in_words(client: TestClient, address: str, said: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 422
    assert answer.headers["content-type"].startswith("text/html")
    assert said in answer.text
    assert "<b>" not in answer.text


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("loads?form=x&status=refused", "“form” in the address is a name that this view doesn&#39;t know"),
        ("today?a=1&b=2", "“a”, “b” in the address are names that this view doesn&#39;t know"),
        ("today?<i>=1", "“&lt;i&gt;” in the address"),
        ("quality?" + "&".join(f"n{number}=1" for number in range(9)), "“n4” and others in the address"),
    ],
)
def test_unknown_names_in_the_query_are_said(client: TestClient, address: str, said: str) -> None:
    # The warehouse is away; what the address has too much stands above that.
    answer = client.get(address)
    assert answer.status_code == 503
    assert said in answer.text


@pytest.mark.parametrize("address", ["loads?from=&to=&file=&status=", "sales?first=2023-01&last=2023-02", "today"])
def test_known_names_are_not(client: TestClient, address: str) -> None:
    assert "in the address" not in client.get(address).text


def test_what_breaks_is_a_page_without_the_reason_which_is_in_the_log() -> None:
    def break_down() -> str:
        raise ValueError("secret 4711")

    answer = page(find_dsn=break_down).get("/today")
    assert answer.status_code == 500
    assert "This view failed" in answer.text
    assert ".venv/bin/customer-pipeline logs api-server" in answer.text
    assert "4711" not in answer.text


def test_a_warehouse_that_is_away_is_said_with_the_remedy() -> None:
    def be_away() -> str:
        raise UnavailableError("The disk is full.", "Look at `make status`.")

    answer = page(find_dsn=be_away).get("/today")
    assert answer.status_code == 503
    assert "The disk is full." in answer.text
    assert "<code>make status</code>" in answer.text


@pytest.mark.parametrize("path", ["/today", "/compare", "/loads.csv", "/nothing", "/nothing/at/all", "/vega.js"])
def test_who_may_not_see_the_page_gets_a_page_without_data(path: str) -> None:
    def refuse() -> None:
        raise HTTPException(403, "Forbidden")

    answer = page(guard=refuse).get(path)
    assert answer.status_code == 403
    assert "You may not see this page" in answer.text


def test_the_page_only_reads(client: TestClient) -> None:
    answer = client.post("/today")
    assert answer.status_code == 405
    assert "This page only reads" in answer.text
