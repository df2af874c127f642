"""The JSON API of feedback, over HTTP and a real file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from receiver.columns import NodeName
from tests.web.service import FEATURES, HeldService, stored

Serve = Callable[[HeldService], str]
START, END = "2026-11-20T07:59:00Z", "2026-11-20T07:59:50Z"
SAID = {"node": "worker-2", "start": START, "end": END, "verdict": "FP", "details": "a backup", "author": "ann"}


@pytest.fixture
def url(serve: Serve, tmp_path: Path) -> str:
    """A service whose node eu/worker-2 peaked 12 s ago, and whose name worker-1 is in two clusters."""
    scores = {
        NodeName("eu", "worker-1"): [0.2] * 12,
        NodeName("eu", "worker-2"): [0.4] * 10 + [2.5, 0.5],
        NodeName("us", "worker-1"): [0.1] * 12,
    }
    return serve(stored(HeldService(scores), tmp_path)) + "/api/v1"


def said(url: str, **changed: object) -> dict[str, object]:
    answer = httpx.post(f"{url}/feedback", json={**SAID, **changed})
    assert answer.status_code == 201, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_what_is_said_is_answered_with_what_was_scored_then(url: str) -> None:
    label = said(url)
    assert {name: label[name] for name in ("cluster", "node", "start", "end", "verdict", "author")} == {
        **{name: SAID[name] for name in ("node", "start", "end", "verdict", "author")},
        "cluster": "eu",
    }
    assert (label["attack"], label["revision"], label["score"], label["model"]) == (False, 1, 2.5, "pca-1")
    moment = label["moment"]
    assert isinstance(moment, dict)
    assert moment["time"] == "2026-11-20T07:59:48Z"
    assert moment["features"][3] == {"name": FEATURES[3], "value": 3.0, "contribution": 0.25}


@pytest.mark.parametrize(("verdict", "attack"), [("TP", True), ("FN", True), ("FP", False), ("TN", False)])
def test_a_verdict_says_whether_it_was_an_attack(url: str, verdict: str, attack: bool) -> None:
    assert said(url, verdict=verdict)["attack"] is attack


def test_labels_are_found_by_time_node_and_cluster(url: str) -> None:
    said(url)
    said(url, node="worker-1", cluster="us")
    found = {
        query: [label["node"] for label in httpx.get(f"{url}/labels?{query}").json()["labels"]]
        for query in ("", "node=worker-2", "cluster=us", "node=worker-2&cluster=us", "until=2026-11-20T07:59:00Z")
    }
    assert found == {
        "": ["worker-2", "worker-1"],
        "node=worker-2": ["worker-2"],
        "cluster=us": ["worker-1"],
        "node=worker-2&cluster=us": [],
        "until=2026-11-20T07:59:00Z": [],
    }


def test_a_time_that_ends_before_it_begins_is_refused(url: str) -> None:
    refused = httpx.get(f"{url}/labels?since=-1h&until=-2h")
    assert (refused.status_code, refused.text.strip()) == (400, "since must be before until")


def change(url: str, key: object, revision: int, **changed: object) -> httpx.Response:
    body = {name: value for name, value in {**SAID, **changed}.items() if name != "node"}
    return httpx.put(f"{url}/labels/{key}", json={**body, "revision": revision})


def test_a_change_holds_and_the_history_has_what_was_said_before(url: str) -> None:
    key = said(url)["key"]
    assert change(url, key, 1, verdict="TP", author="bob").json()["revision"] == 2
    now = httpx.get(f"{url}/labels/{key}").json()
    assert (now["verdict"], now["attack"], now["author"], now["score"]) == ("TP", True, "bob", 2.5)
    assert [(one["revision"], one["verdict"], one["author"]) for one in now["history"]] == [
        (1, "FP", "ann"),
        (2, "TP", "bob"),
    ]


def test_a_change_of_what_no_longer_holds_is_refused_with_what_does(url: str) -> None:
    key = said(url)["key"]
    change(url, key, 1, verdict="TP", author="bob")
    refused = change(url, key, 1, details="mine")
    assert refused.status_code == 409
    assert "revision 2 holds now, not 1: bob says TP: 'a backup'" in refused.text


def test_a_changed_interval_has_another_score(url: str) -> None:
    key = said(url)["key"]
    assert change(url, key, 1, end="2026-11-20T07:59:40Z").json()["score"] == pytest.approx(0.4)


def test_a_withdrawn_label_is_in_its_history_only(url: str) -> None:
    key = said(url)["key"]
    gone = httpx.delete(f"{url}/labels/{key}", params={"revision": 1, "author": "bob"})
    assert (gone.status_code, gone.json()["withdrawn"]) == (200, True)
    assert httpx.get(f"{url}/labels").json()["labels"] == []
    assert len(httpx.get(f"{url}/labels/{key}").json()["history"]) == 2


@pytest.mark.parametrize(
    ("changed", "status", "text"),
    [
        ({"node": "nobody"}, 404, "no node 'nobody' is known"),
        ({"node": "worker-1"}, 400, "node 'worker-1' is in several clusters; say which: 'eu', 'us'"),
        (
            {"start": "2026-11-20T07:00:00Z", "end": "2026-11-20T07:10:00Z"},
            422,
            (
                "node 'worker-2' was not scored between 2026-11-20T07:00:00.000Z and 2026-11-20T07:10:00.000Z; "
                "its first one after is of 2026-11-20T07:58:08.000Z"
            ),
        ),
        (
            {"start": "2026-11-20T07:59:49Z"},
            422,
            (
                "node 'worker-2' was not scored between 2026-11-20T07:59:49.000Z and 2026-11-20T07:59:50.000Z; its "
                "last score before is of 2026-11-20T07:59:48.000Z, its first one after is of 2026-11-20T07:59:58.000Z"
            ),
        ),
        ({"end": "2026-11-20T07:00:00Z"}, 400, "label: ends before it starts"),
        ({"end": "2026-11-20T08:10:00Z"}, 400, "label: ends in the future"),
        ({"start": "2026-11-01T00:00:00Z"}, 400, "label: is of more than 7 days"),
        ({"start": "noon"}, 400, "start: 'noon' is not a time"),
        ({"verdict": "XX"}, 400, "verdict: Input should be 'TP', 'FP', 'TN' or 'FN'"),
        ({"details": "x" * 10_001}, 400, "details: String should have at most 10000 characters"),
        ({"details": "a\x00b"}, 400, "label: details has a NUL"),
        ({"author": ""}, 400, "author: must not be empty"),
        ({"colour": "red"}, 400, "colour: Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_kept_says_why(url: str, changed: dict[str, str], status: int, text: str) -> None:
    refused = httpx.post(f"{url}/feedback", json={**SAID, **changed})
    assert (refused.status_code, refused.text[: len(text)]) == (status, text)
    assert httpx.get(f"{url}/labels").json()["labels"] == []


def test_no_label_is_404(url: str) -> None:
    assert httpx.get(f"{url}/labels/{'f' * 32}").status_code == 404
    assert change(url, "f" * 32, 1).status_code == 404
    assert httpx.get(f"{url}/labels/..%00").status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing(url: str, headers: dict[str, str]) -> None:
    key = said(url)["key"]
    assert httpx.post(f"{url}/feedback", json=SAID, headers=headers).status_code == 403
    gone = httpx.delete(f"{url}/labels/{key}", params={"revision": 1, "author": "bob"}, headers=headers)
    assert gone.status_code == 403
    assert len(httpx.get(f"{url}/labels").json()["labels"]) == 1


def test_what_a_form_can_send_is_no_feedback(url: str) -> None:
    assert httpx.post(f"{url}/feedback", data=SAID).status_code == 415


def test_a_body_that_no_label_has_is_given_up(url: str) -> None:
    assert httpx.post(f"{url}/feedback", json={**SAID, "details": "x" * 300_000}).status_code == 413


def test_the_description_names_all_of_it(url: str) -> None:
    paths = httpx.get(url.removesuffix("/api/v1") + "/openapi.json").json()["paths"]
    assert set(paths["/api/v1/labels/{key}"]) == {"get", "put", "delete"}
    assert "post" in paths["/api/v1/feedback"]
    assert "get" in paths["/api/v1/labels"]


def test_without_a_store_the_answer_is_to_try_again(serve: Serve) -> None:
    held = HeldService({NodeName("eu", "worker-2"): [0.4]})
    assert httpx.post(f"{serve(held)}/api/v1/feedback", json=SAID).status_code == 503
