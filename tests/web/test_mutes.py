"""Mutes over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from receiver.columns import NodeName
from tests.web.service import HeldService, stored

Serve = Callable[[HeldService], str]
GIVEN = {"node": "worker-2", "duration": "2h", "reason": "a backup", "author": "Zoë"}
MUTED = 'anomaly_muted_until_timestamp_seconds{cluster="eu",node="worker-2"} 1.7951688e+09'


@pytest.fixture
def url(serve: Serve, tmp_path: Path) -> str:
    """A service with a node over the threshold, and one whose name two clusters have."""
    scores = {NodeName("eu", "worker-2"): [2.5], NodeName("eu", "w"): [0.2], NodeName("us", "w"): [0.2]}
    return serve(stored(HeldService(scores), tmp_path))


def test_a_mute_is_told_and_exposed_until_it_is_ended_and_its_history_stays(url: str) -> None:
    made = httpx.post(f"{url}/api/v1/mutes", json=GIVEN)
    entry = {
        "cluster": "eu",
        "node": "worker-2",
        "until": "2026-11-20T10:00:00Z",
        "reason": "a backup",
        "author": "Zoë",
        "at": "2026-11-20T08:00:00Z",
    }
    assert (made.status_code, made.json()) == (201, entry)
    assert httpx.get(f"{url}/api/v1/mutes").json() == {"mutes": [entry], "history": [entry]}
    assert MUTED in httpx.get(f"{url}/metrics").text
    assert httpx.post(f"{url}/api/v1/mutes/end", json={"node": "worker-2", "author": "bob"}).status_code == 200
    told = httpx.get(f"{url}/api/v1/mutes").json()
    assert told["mutes"] == []
    assert [one["author"] for one in told["history"]] == ["Zoë", "bob"]
    assert "anomaly_muted_until_timestamp_seconds{" not in httpx.get(f"{url}/metrics").text


@pytest.mark.parametrize(
    ("changed", "status", "why"),
    [
        ({"node": "nobody"}, 404, "no node 'nobody' is known"),
        ({"node": "w"}, 400, "node 'w' is in several clusters"),
        ({"duration": "8d"}, 400, "lasts for more than 7 days"),
        ({"duration": "for ever"}, 400, "duration: 'for ever' is not a duration"),
        ({"author": ""}, 400, "author: must not be empty"),
        ({"until": "now"}, 400, "until: Extra inputs"),
    ],
)
def test_what_cannot_be_muted_is_refused_with_the_reason(
    url: str, changed: dict[str, str], status: int, why: str
) -> None:
    answer = httpx.post(f"{url}/api/v1/mutes", json={**GIVEN, **changed})
    assert answer.status_code == status
    assert why in answer.text
    assert httpx.get(f"{url}/api/v1/mutes").json()["history"] == []


def test_ending_what_is_not_muted_is_404(url: str) -> None:
    answer = httpx.post(f"{url}/api/v1/mutes/end", json={"node": "worker-2", "author": "bob"})
    assert (answer.status_code, answer.text) == (404, "node 'worker-2' is not muted\n")


@pytest.mark.parametrize("path", ["/api/v1/mutes", "/api/v1/mutes/end"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
def test_a_page_of_another_site_mutes_nothing(url: str, path: str, headers: dict[str, str], status: int) -> None:
    assert httpx.post(url + path, json=GIVEN, headers=headers).status_code == status
    assert httpx.get(f"{url}/api/v1/mutes").json()["history"] == []


FORM = {"duration": "2h", "reason": "a <b>backup</b>", "author": "Zoë"}
PAGE = "/mute?node=worker-2&cluster=eu"


def sent(url: str, path: str = PAGE, **changed: str) -> httpx.Response:
    """The form as a browser sends it from a page of ours."""
    return httpx.post(url + path, data={**FORM, **changed}, headers={"Origin": url})


def test_a_form_mutes_the_node_whose_page_says_so_until_it_is_ended(url: str) -> None:
    kept = sent(url)
    assert (kept.status_code, kept.headers["location"]) == (303, "node?node=worker-2&cluster=eu")
    for path in (PAGE, "/" + kept.headers["location"]):
        text = httpx.get(url + path).text
        assert "2026-11-20 10:00:00 UTC" in text
        assert "a &lt;b&gt;backup&lt;/b&gt;" in text
    assert "<small>muted</small>" in httpx.get(url).text
    assert sent(url, action="end").status_code == 303
    assert "<small>muted</small>" not in httpx.get(url).text
    assert "Alerts are muted" not in httpx.get(f"{url}/node?node=worker-2").text
    text = httpx.get(url + PAGE).text
    assert text.count("Zoë") == 2
    assert ">ended<" in text


@pytest.mark.parametrize(
    ("changed", "status", "why"),
    [({"duration": "8d"}, 400, "more than 7 days"), ({"author": ""}, 400, "author: "), ({"action": "end"}, 404, "not")],
)
def test_a_form_that_cannot_be_kept_comes_again_with_what_was_typed(
    url: str, changed: dict[str, str], status: int, why: str
) -> None:
    answer = sent(url, **changed)
    assert answer.status_code == status
    assert why in answer.text
    assert 'value="a &lt;b&gt;backup&lt;/b&gt;"' in answer.text


def test_a_form_of_another_site_mutes_nothing(url: str) -> None:
    assert httpx.post(url + PAGE, data=FORM, headers={"Origin": "https://elsewhere.example"}).status_code == 403
    assert httpx.get(f"{url}/api/v1/mutes").json()["history"] == []


def test_a_false_alarm_leads_to_the_form(url: str) -> None:
    said = {"node": "worker-2", "start": "-10s", "end": "now", "author": "Zoë"}
    for verdict, leads in (("FP", True), ("TP", False)):
        key = httpx.post(f"{url}/api/v1/feedback", json={**said, "verdict": verdict}).json()["key"]
        assert (PAGE[1:].replace("&", "&amp;") in httpx.get(f"{url}/label?key={key}").text) == leads
