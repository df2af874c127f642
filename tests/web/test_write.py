"""The remote-write endpoint as a sender meets it: the real command, over a real connection."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import snappy

from receiver import catalogue
from receiver.settings import MAX_COMPRESSED_BYTES
from receiver.store.embedded import EmbeddedStore
from tests import counting_model
from tests.servers.nodescore import Nodescore
from tests.wire.requests import HEADERS, V1_HEADERS, V2_HEADERS, Series, body, series

WRITTEN = "X-Prometheus-Remote-Write-{}-Written"
COMPLIANCE = Path(os.environ.get("TEST_DATA", ""), "remote-write", "compliance-requests.jsonl")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodescore]:
    folder = tmp_path_factory.mktemp("write")
    model = counting_model.write(folder / "model.onnx", catalogue.load())
    one = Nodescore(folder, [f"--model={model}"])
    one.start()
    yield one
    one.stop()


@pytest.fixture
def client(service: Nodescore) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as one:
        yield one


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def post(client: httpx.Client, content: bytes, headers: dict[str, str]) -> httpx.Response:
    return client.post("/api/v1/write", content=content, headers=headers)


def fresh(value: float = 1.0) -> list[Series]:
    return [series("node_load1", value, now_ms()), series("up", 1.0, now_ms())]


def test_version_1_is_answered_without_counts(client: httpx.Client) -> None:
    answer = post(client, body(1, fresh()), V1_HEADERS)
    assert (answer.status_code, answer.content) == (204, b"")
    assert not any("written" in name.lower() for name in answer.headers)


def test_version_2_is_answered_with_counts_of_wanted_and_unwanted_series(client: httpx.Client) -> None:
    answer = post(client, body(2, fresh()), V2_HEADERS)
    counts = [answer.headers[WRITTEN.format(kind)] for kind in ("Samples", "Histograms", "Exemplars")]
    assert (answer.status_code, answer.content, counts) == (204, b"", ["2", "0", "0"])


def test_a_version_2_failure_has_counts_too(client: httpx.Client) -> None:
    answer = post(client, b"not snappy", V2_HEADERS)
    assert (answer.status_code, answer.headers[WRITTEN.format("Samples")]) == (400, "0")


def test_a_partly_invalid_request_is_refused_with_what_was_written(client: httpx.Client) -> None:
    answer = post(client, body(2, [*fresh(), Series([("job", "node")])]), V2_HEADERS)
    assert (answer.status_code, answer.headers[WRITTEN.format("Samples")]) == (400, "2")
    assert answer.text == "series {job='node'}: it has no metric name (label __name__)\n"


def test_a_request_without_headers_is_version_1(client: httpx.Client) -> None:
    request = client.build_request("POST", "/api/v1/write", content=body(1, fresh()))
    request.headers.pop("content-type", None)
    assert client.send(request).status_code == 204


def test_parameters_may_have_spaces_and_capitals(client: httpx.Client) -> None:
    headers = {"Content-Type": "Application/X-Protobuf ; proto = io.prometheus.write.v2.Request"}
    assert WRITTEN.format("Samples") in post(client, body(2, fresh()), headers).headers


def test_a_body_may_come_in_chunks_without_a_length(client: httpx.Client) -> None:
    whole = body(1, fresh())
    answer = client.post("/api/v1/write", content=iter([whole[:10], whole[10:]]), headers=V1_HEADERS)
    assert answer.status_code == 204


@pytest.mark.parametrize(
    ("headers", "status", "text"),
    [
        ({"Content-Type": "application/json"}, 415, "'application/json' is not supported"),
        ({**V1_HEADERS, "Content-Encoding": "gzip"}, 415, "'gzip' is not supported"),
        ({"Content-Type": "application/x-protobuf;proto=some.Other"}, 415, "'some.Other'"),
    ],
)
def test_an_unknown_type_or_encoding_is_refused_before_the_body(
    client: httpx.Client, headers: dict[str, str], status: int, text: str
) -> None:
    answer = post(client, b"whatever", headers)
    assert (answer.status_code, text in answer.text) == (status, True)


def test_a_version_2_refusal_of_the_encoding_has_counts_too(client: httpx.Client) -> None:
    answer = post(client, b"whatever", {**V2_HEADERS, "Content-Encoding": "zstd"})
    assert (answer.status_code, answer.headers[WRITTEN.format("Samples")]) == (415, "0")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_other_methods_are_refused(client: httpx.Client, method: str) -> None:
    answer = client.request(method, "/api/v1/write")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.text == ("" if method == "HEAD" else "remote write is sent with POST\n")


def test_the_text_of_a_refusal_is_taken_for_nothing_else(client: httpx.Client) -> None:
    headers = post(client, b"<script>", V1_HEADERS).headers
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "not a snappy block"),
        (b"\xff\x06\x00\x00sNaPpY rest", "framed snappy"),
        (b"\x80\x80\x80\x80\x08" + b"bomb", "claims 2147483648 bytes"),
        (snappy.compress(b"\x0a\xff"), "not a prometheus.WriteRequest"),
    ],
)
def test_a_body_that_is_no_request_is_refused_by_what_it_is(client: httpx.Client, content: bytes, text: str) -> None:
    answer = post(client, content, V1_HEADERS)
    assert (answer.status_code, text in answer.text) == (400, True)


def test_a_body_over_the_limit_is_refused(client: httpx.Client) -> None:
    answer = post(client, bytes(MAX_COMPRESSED_BYTES + 1), V1_HEADERS)
    assert (answer.status_code, "max_samples_per_send" in answer.text) == (413, True)


def test_a_declared_length_over_the_limit_is_refused_at_once(service: Nodescore) -> None:
    host, port = service.address.split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"POST /api/v1/write HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_requests_at_once_are_all_answered(service: Nodescore) -> None:
    def send(number: int) -> int:
        headers = HEADERS[1 + number % 2]
        request = body(1 + number % 2, [series("node_load1", 1.0, now_ms(), instance=f"n{number}")])
        return httpx.post(f"{service.url}/api/v1/write", content=request, headers=headers, timeout=30).status_code

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(send, range(64))) == {204}


def test_a_service_that_is_asked_to_end_saves_its_states(tmp_path: Path) -> None:
    model = counting_model.write(tmp_path / "model.onnx", catalogue.load())
    service = Nodescore(tmp_path, [f"--model={model}"], environment={"NODESCORE_ASSEMBLY_DEADLINE_SECONDS": "0.1"})
    service.start()
    request = body(1, fresh())
    httpx.post(f"{service.url}/api/v1/write", content=request, headers=V1_HEADERS, timeout=30).raise_for_status()
    assert service.stop() == 0
    store = EmbeddedStore.open(service.data_dir / "nodescore.sqlite", catalogue.load())
    states = store.load_states("counting-1")
    store.close()
    assert states is not None
    assert states.state.tolist() == [[1.0]]


def test_requests_are_counted_by_version_and_status(client: httpx.Client) -> None:
    def count() -> float:
        line = 'nodescore_requests_total{code="415",version="unknown"} '
        return float(client.get("/metrics").text.split(line)[1].splitlines()[0])

    before = count()
    post(client, b"", {"Content-Type": "text/plain"})
    assert count() == before + 1


@pytest.mark.skipif(not COMPLIANCE.is_file(), reason="TEST_DATA names no folder with the recorded compliance suite")
def test_the_public_compliance_suite_is_answered_as_recorded(client: httpx.Client) -> None:
    wrong = []
    for line in COMPLIANCE.read_text().splitlines():
        recorded = json.loads(line)
        answer = post(client, base64.b64decode(recorded["body_base64"]), recorded["headers"])
        written = recorded.get("written")
        counts = {kind: int(answer.headers.get(WRITTEN.format(kind), -1)) for kind in written or {}}
        if answer.status_code != recorded["status"] or (written and counts != written):
            wrong.append((recorded["case"], answer.status_code, counts, answer.text))
    assert wrong == []
