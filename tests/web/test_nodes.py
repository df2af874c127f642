"""The JSON API."""

from collections.abc import Callable
from urllib.parse import quote

import httpx
import pytest

from receiver.columns import NodeName
from tests.web.service import NOW_MS, HeldService, fleet

Serve = Callable[[HeldService], str]


def service() -> HeldService:
    return HeldService(
        {
            NodeName("eu", "worker-1"): [0.2, 0.3],
            NodeName("eu", "worker-2"): [0.4, 2.5],
            NodeName("us", "worker-1"): [0.1, 0.1],
            NodeName("", "10.0.0.7:9100"): [0.6],
        }
    )


def test_nodes_come_by_score_with_what_drives_it_in_words(serve: Serve) -> None:
    answer = httpx.get(f"{serve(service())}/api/v1/nodes").json()
    assert [(node["cluster"], node["node"], node["score"]) for node in answer["nodes"]] == [
        ("eu", "worker-2", 2.5),
        ("", "10.0.0.7:9100", 0.6),
        ("eu", "worker-1", 0.3),
        ("us", "worker-1", 0.1),
    ]
    assert answer["nodes"][0]["time"] == "2026-11-20T07:59:58Z"
    assert answer["nodes"][0]["top_features"][0] == {
        "name": "cpu_sec_idle",
        "help": "Idle time of all CPUs",
        "contribution": 0.4,
    }
    assert answer["nodes"][2]["top_features"] == []


def test_a_search_is_for_cluster_or_node_and_case_does_not_matter(serve: Serve) -> None:
    url = serve(service())
    found = {
        q: httpx.get(f"{url}/api/v1/nodes", params={"q": q}).json()["total"] for q in ("WORKER-1", "us/", "no such")
    }
    assert found == {"WORKER-1": 2, "us/": 1, "no such": 0}


def test_the_list_is_cut_by_offset_and_limit_but_counts_all(serve: Serve) -> None:
    answer = httpx.get(f"{serve(service())}/api/v1/nodes", params={"offset": 1, "limit": 2}).json()
    assert answer["total"] == 4
    assert [node["score"] for node in answer["nodes"]] == [0.6, 0.3]


def test_a_silent_node_is_counted_and_has_no_score(serve: Serve) -> None:
    held = service()
    held.silence(NodeName("eu", "worker-2"), for_ms=300_001)
    answer = httpx.get(f"{serve(held)}/api/v1/nodes").json()
    assert (answer["total"], answer["silent"]) == (3, 1)


def test_a_nodes_scores_come_in_time_order(serve: Serve) -> None:
    answer = httpx.get(f"{serve(service())}/api/v1/nodes/worker-2/scores").json()
    assert answer == {
        "cluster": "eu",
        "node": "worker-2",
        "points": [{"time_ms": NOW_MS - 12_000, "score": 0.4}, {"time_ms": NOW_MS - 2_000, "score": 2.5}],
    }


def test_scores_are_cut_by_since_and_until(serve: Serve) -> None:
    url = f"{serve(fleet(1, rows=80))}/api/v1/nodes/{fleet(1).exposition.snapshot.names[0].node}/scores"
    answer = httpx.get(url, params={"since": "-2m", "until": "2026-11-20T07:59:00Z"}).json()
    assert [point["time_ms"] for point in answer["points"]] == [NOW_MS - 112_000 + 10_000 * i for i in range(6)]


def test_a_node_in_two_clusters_has_to_be_told_apart(serve: Serve) -> None:
    url = f"{serve(service())}/api/v1/nodes/worker-1/scores"
    unclear = httpx.get(url)
    assert (unclear.status_code, unclear.text) == (
        400,
        "node 'worker-1' is in several clusters; say which with cluster=: 'eu', 'us'\n",
    )
    assert httpx.get(url, params={"cluster": "us"}).json()["cluster"] == "us"


def test_a_node_that_is_an_address_is_found(serve: Serve) -> None:
    url = serve(service())
    assert httpx.get(f"{url}/api/v1/nodes/{quote('10.0.0.7:9100', safe='')}/scores").status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("nodes/nobody/scores", 404, "no node 'nobody' is known\n"),
        ("nodes/worker-2/scores?cluster=us", 404, "no node 'worker-2' in cluster 'us' is known\n"),
        (
            "nodes/worker-2/scores?since=lately",
            400,
            "since: 'lately' is not a time; write it like 2026-11-20T08:00:00Z, or -10m for ten minutes ago\n",
        ),
        (
            "nodes/worker-2/scores?since=-2d",
            400,
            "since must be at most 24 hours before until; `nodescore export` does more\n",
        ),
        ("nodes/worker-2/scores?since=-1h&until=-2h", 400, "since must be before until\n"),
        ("nodes?limit=0", 400, "limit: Input should be greater than or equal to 1\n"),
        ("nothing", 404, "Not Found\n"),
    ],
)
def test_what_cannot_be_answered_says_why_in_plain_text(serve: Serve, path: str, status: int, text: str) -> None:
    answer = httpx.get(f"{serve(service())}/api/v1/{path}")
    assert (answer.status_code, answer.text) == (status, text)
