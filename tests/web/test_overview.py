"""The page at `/`, as HTML."""

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import httpx
import numpy as np

from receiver.columns import NodeName
from receiver.errors import StoreUnavailable
from receiver.health import Component
from tests.web.service import HeldService, fleet

Serve = Callable[[HeldService], str]


class Page(HTMLParser):
    """The tags of a page, and its text without them."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        answer = httpx.get(url)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        self.feed(answer.text)
        self.text = re.sub(r"\s+", " ", "".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.tags)


def test_a_node_with_an_alert_stands_first_with_its_score_in_words_and_what_drives_it(serve: Serve) -> None:
    text = Page(serve(fleet(5, attacked=1))).text
    assert "Alerts1Overthethreshold1" in text.replace(" ", "")
    assert text.index("alert for 2 min Score now") < text.index("normal")
    assert "Idle time of all CPUs 8 %" in text


def test_a_model_that_breaks_its_contract_breaks_no_page(serve: Serve) -> None:
    service = fleet(2)
    snapshot = service.exposition.snapshot
    service.exposition.show(replace(snapshot, contribution=np.full_like(snapshot.contribution, np.inf)))
    url = serve(service)
    assert Page(url).count("li") == 0
    assert httpx.get(f"{url}/api/v1/nodes").json()["total"] == 2


def test_one_row_over_the_threshold_is_no_alert_and_one_below_it_ends_none(serve: Serve) -> None:
    scores = {NodeName("", "once"): [0.2, 1.5], NodeName("", "still"): [0.2, 1.5, 1.5, 0.4]}
    page = Page(serve(HeldService(scores)))
    assert "Alerts1Overthethreshold1" in page.text.replace(" ", "")
    assert "1.50over the threshold" in page.text
    assert "0.40alert for 12 s" in page.text


def test_each_chart_says_what_it_shows(serve: Serve) -> None:
    charts = [attributes for tag, attributes in Page(serve(fleet(3))).tags if attributes.get("role") == "img"]
    assert len(charts) == 3
    assert all("over the threshold" in (chart["aria-label"] or "") for chart in charts)


def test_names_are_shown_as_they_are_and_run_nothing(serve: Serve) -> None:
    evil = "<script>alert(1)</script>\"'&\u202e"
    page = Page(serve(HeldService({NodeName(evil, evil): [2.0]})))
    assert page.count("script") == 1
    assert page.text.count(evil) == 2
    assert Page(serve(fleet(1)) + "/?q=%3Cscript%3E").count("script") == 1


def test_a_page_holds_fifty_nodes_and_links_to_the_next_with_the_search_kept(serve: Serve) -> None:
    url = serve(fleet(120))
    first, last = Page(f"{url}/?q=eu"), Page(f"{url}/?q=eu&page=3")
    links = [attributes["href"] for tag, attributes in first.tags if tag == "a" and attributes.get("rel") == "next"]
    assert links == ["?q=eu&page=2"]
    assert [first.count("tr") - 1, last.count("tr") - 1] == [50, 20]


def test_a_page_after_the_last_is_the_last(serve: Serve) -> None:
    assert Page(serve(fleet(60)) + "/?page=99").text.count("Page 2 of 2") == 1


def test_a_search_without_a_match_says_so(serve: Serve) -> None:
    assert "No scored node matches “worker-9”" in Page(serve(fleet(3)) + "/?q=worker-9").text


def test_a_silent_node_leaves_the_table_and_is_named_below_it(serve: Serve) -> None:
    service = HeldService({NodeName("eu", "here"): [0.1], NodeName("eu", "gone"): [5.0]})
    service.silence(NodeName("eu", "gone"), for_ms=600_000)
    page = Page(serve(service))
    assert page.count("tr") - 1 == 1
    assert "1 silent node:" in page.text
    assert "gone eu 10 min ago" in page.text


def test_the_first_page_a_newcomer_sees_says_how_to_send(serve: Serve) -> None:
    url = serve(HeldService({}))
    text = Page(url).text
    assert f"url: {url}/api/v1/write" in text
    assert "honor_labels: true" in text


def test_trouble_stands_on_the_page(serve: Serve) -> None:
    service = fleet(1)
    service.components = [Component("TimescaleDB", "degraded", "refused"), Component("journal", "ok", "well")]
    text = Page(serve(service)).text
    assert "TimescaleDB refused" in text
    assert "journal" not in text


def test_without_a_store_the_scores_of_now_are_still_shown(serve: Serve) -> None:
    service = fleet(3)
    service.history_error = StoreUnavailable("the store is locked")
    page = Page(serve(service))
    assert page.count("tr") - 1 == 3
    assert "history the store is locked" in page.text


def test_nothing_is_fetched_from_elsewhere(serve: Serve) -> None:
    page = Page(serve(fleet(2)))
    fetched = [a.get("src") or a.get("href") for tag, a in page.tags if tag in ("link", "script", "img")]
    assert fetched
    assert all(re.match(r"static/", address or "") for address in fetched)
