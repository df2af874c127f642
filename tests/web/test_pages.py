"""The pages of a node and of feedback, as they come over HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from math import nan
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from receiver.columns import NodeName
from receiver.web.rendering import environment
from tests.web.service import FEATURES, HeldService, stored

Serve = Callable[[HeldService], str]
GIVEN = {
    "node": "worker-2",
    "cluster": "",
    "start": "2026-11-20T07:59:00Z",
    "end": "2026-11-20T07:59:50Z",
    "verdict": "FP",
    "details": "a <b>backup</b>",
    "author": "Zoë",
}


@pytest.fixture
def url(serve: Serve, tmp_path: Path) -> str:
    """A service whose node eu/worker-2 was over the threshold for two rows, and one that calls itself a tag."""
    scores = {
        NodeName("eu", "worker-2"): [0.4] * 10 + [1.5, 2.5, 0.5],
        NodeName("", "<i>&'\""): [0.2] * 13,
    }
    return serve(stored(HeldService(scores), tmp_path))


def sent(url: str, path: str = "/feedback", **changed: str) -> httpx.Response:
    """A form as a browser sends it from a page of ours."""
    return httpx.post(url + path, data={**GIVEN, **changed}, headers={"Origin": url})


def links(text: str) -> list[str]:
    return [unescape(link) for link in re.findall(r'href="([^"]+)"', text)]


def test_a_nodes_page_shows_its_anomaly_and_links_to_the_form_with_it_filled_in(url: str) -> None:
    text = httpx.get(f"{url}/node?node=worker-2").text
    (link,) = {link for link in links(text) if "start=2026-11-20T07%3A59%3A38Z" in link}
    assert parse_qs(urlsplit(link).query) == {
        "node": ["worker-2"],
        "cluster": ["eu"],
        "start": ["2026-11-20T07:59:38Z"],
        "end": ["2026-11-20T07:59:48Z"],
    }
    form = httpx.get(f"{url}/{link}").text
    assert 'value="2026-11-20T07:59:38Z"' in form
    assert 'value="worker-2"' in form


def test_a_nodes_page_shows_the_highest_moment_or_the_chosen_one(url: str) -> None:
    assert "2.50</h2>" in httpx.get(f"{url}/node?node=worker-2").text
    chosen = httpx.get(f"{url}/node?node=worker-2&at=2026-11-20T07:58:50Z").text
    assert "0.40</h2>" in chosen
    assert chosen.count("<figure>") == len(FEATURES)


@pytest.mark.parametrize(
    ("value", "text"),
    [(29_388_800.5, "29,388,800"), (-1000.0, "-1,000"), (876.25, "876.2"), (0.00001, "1e-05"), (nan, "missing")],
)
def test_a_features_value_is_written_without_an_exponent_where_it_is_large(value: float, text: str) -> None:
    parts: Any = environment("node").get_template("parts.html").module
    assert parts.value(value) == text


def test_a_time_without_scores_says_so(url: str) -> None:
    answer = httpx.get(f"{url}/node?node=worker-2&since=2026-11-20T01:00:00Z&until=2026-11-20T02:00:00Z")
    assert answer.status_code == 200
    assert "No row of this node was scored" in answer.text


@pytest.mark.parametrize(
    ("query", "status"), [("node=nobody", 404), ("node=worker-2&since=-2d", 400), ("node=worker-2&at=noon", 400)]
)
def test_what_cannot_be_shown_says_why(url: str, query: str, status: int) -> None:
    assert httpx.get(f"{url}/node?{query}").status_code == status


def test_a_form_that_was_kept_leads_to_the_label(url: str) -> None:
    answer = sent(url)
    assert (answer.status_code, answer.headers["location"][:10]) == (303, "label?key=")
    label = httpx.get(f"{url}/{answer.headers['location']}").text
    assert "FP: normal on" in label
    assert "a &lt;b&gt;backup&lt;/b&gt;" in label
    assert "Zoë" in label
    assert "FP: normal" in httpx.get(f"{url}/labels").text
    assert "FP: normal" in httpx.get(f"{url}/node?node=worker-2").text


def test_where_an_alert_goes_on_after_its_attack_the_label_leads_to_the_form_for_the_rest(url: str) -> None:
    attack = {"verdict": "TP", "end": "2026-11-20T07:59:38Z"}
    kept = sent(url, **attack).headers["location"]
    (rest,) = {link for link in links(httpx.get(f"{url}/{kept}").text) if link.startswith("feedback?node")}
    query = {name: values[0] for name, values in parse_qs(urlsplit(rest).query).items()}
    assert query == {
        "node": "worker-2",
        "cluster": "eu",
        "start": "2026-11-20T07:59:48Z",
        "end": "2026-11-20T07:59:48Z",
    }
    sent(url, **query)
    assert "say what the rest was" not in httpx.get(f"{url}/{kept}").text


def test_a_label_that_ends_with_its_alert_or_is_of_normal_work_asks_for_no_rest(url: str) -> None:
    for said in ({"verdict": "TP", "end": "2026-11-20T07:59:48Z"}, {"verdict": "FP", "end": "2026-11-20T07:59:38Z"}):
        assert "say what the rest was" not in httpx.get(f"{url}/{sent(url, **said).headers['location']}").text


@pytest.mark.parametrize(
    ("changed", "status", "why"),
    [
        ({"node": "nobody"}, 404, "no node 'nobody' is known"),
        ({"start": "2026-11-20T07:00:00Z", "end": "2026-11-20T07:01:00Z"}, 422, "its first one after is of"),
        ({"end": "soon"}, 400, "end: 'soon' is not a time"),
        ({"verdict": ""}, 400, "verdict: Input should be"),
        ({"author": ""}, 400, "author: must not be empty"),
    ],
)
def test_a_form_that_cannot_be_kept_comes_again_with_what_was_typed(
    url: str, changed: dict[str, str], status: int, why: str
) -> None:
    answer = sent(url, **changed)
    text = unescape(answer.text)
    assert answer.status_code == status
    assert why in text
    assert "a <b>backup</b></textarea>" in text
    assert f'value="{ {**GIVEN, **changed}["end"] }"' in text


def test_an_edit_holds_and_one_of_what_no_longer_holds_is_shown_what_does(url: str) -> None:
    path = "/" + sent(url).headers["location"]
    assert sent(url, path, revision="1", verdict="TP", author="bob").status_code == 303
    refused = sent(url, path, revision="1", details="mine")
    text = unescape(refused.text)
    assert refused.status_code == 409
    assert "revision 2 holds now, not 1: bob says TP" in text
    assert "\nmine</textarea>" in text
    assert 'name="revision" value="2"' in text  # what is sent again is meant


def test_a_withdrawn_label_leaves_the_list_and_keeps_its_page(url: str) -> None:
    path = "/" + sent(url).headers["location"]
    assert sent(url, path, revision="1", action="withdraw").status_code == 303
    assert "No label in this time" in httpx.get(f"{url}/labels").text
    assert "Withdrawn on" in httpx.get(url + path).text


def test_a_label_is_withdrawn_whatever_else_stands_in_the_form(url: str) -> None:
    path = "/" + sent(url).headers["location"]
    nameless = sent(url, path, revision="1", action="withdraw", author="")
    assert (nameless.status_code, "author: must not be empty" in nameless.text) == (400, True)
    assert sent(url, path, revision="1", action="withdraw", verdict="", start="soon").status_code == 303
    assert "Withdrawn on" in httpx.get(url + path).text


@pytest.mark.parametrize("cluster", ["", "eu"])
def test_where_several_clusters_have_a_node_the_form_means_the_one_that_it_names(
    serve: Serve, tmp_path: Path, cluster: str
) -> None:
    scores = {NodeName("", "worker-2"): [0.4] * 13, NodeName("eu", "worker-2"): [0.4] * 13}
    url = serve(stored(HeldService(scores), tmp_path))
    kept = sent(url, cluster=cluster)
    assert kept.status_code == 303
    assert ("<bdi>eu</bdi>" in httpx.get(f"{url}/{kept.headers['location']}").text) == (cluster == "eu")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_form_of_another_site_is_refused(url: str, headers: dict[str, str]) -> None:
    assert httpx.post(f"{url}/feedback", data=GIVEN, headers=headers).status_code == 403
    assert "No label in this time" in httpx.get(f"{url}/labels").text


def test_a_body_that_is_no_form_is_refused(url: str) -> None:
    assert httpx.post(f"{url}/feedback", json=GIVEN, headers={"Origin": url}).status_code == 415
    form = {"Origin": url, "Content-Type": "application/x-www-form-urlencoded"}
    assert httpx.post(f"{url}/feedback", content=b"details=\xff", headers=form).status_code == 400
    assert httpx.post(f"{url}/feedback", content=b"a=1&" * 99, headers=form).status_code == 400


def test_names_are_escaped_everywhere(url: str) -> None:
    name = "<i>&'\""
    label = "/" + sent(url, node=name).headers["location"]
    for path in (f"/node?node={name.replace('&', '%26')}", label, "/labels"):
        text = httpx.get(url + path).text
        assert "&lt;i&gt;&amp;" in text
        assert "<i>" not in text


def test_an_alerts_link_may_name_times_in_seconds(url: str) -> None:
    form = httpx.get(f"{url}/feedback?node=worker-2&cluster=eu&start=1795161578&end=1795161588.5").text
    assert 'value="2026-11-20T07:59:38Z"' in form
    assert 'value="2026-11-20T07:59:48.500Z"' in form


def test_moments_below_the_threshold_are_offered_with_the_form_filled_in_until_somebody_has_said(url: str) -> None:
    text = httpx.get(f"{url}/audit?day=2026-11-20").text
    (near,) = {link for link in links(text) if link.startswith("feedback?") and "cluster=&" in link}
    form = httpx.get(f"{url}/{near}").text
    assert 'value="&lt;i&gt;&amp;&#39;&#34;"' in form
    given = {name: values[0] for name, values in parse_qs(urlsplit(near).query).items()}
    assert (
        sent(url, node=given["node"], verdict="TN", start=given["start"], end="2026-11-20T08:00:30Z").status_code == 303
    )
    assert "by chance" in text


def test_a_day_without_scores_leads_to_today_and_one_to_come_is_refused(url: str) -> None:
    text = httpx.get(f"{url}/audit").text
    assert "Nothing was scored on 2026-11-19" in text
    assert "audit?day=2026-11-20" in links(text)
    assert httpx.get(f"{url}/audit?day=2026-11-21").status_code == 400
    assert httpx.get(f"{url}/audit?day=yesterday").status_code == 400
