"""Health, metrics, reload, and how errors are answered."""

from collections.abc import Callable

import httpx
import pytest
from fastapi import FastAPI

from receiver.errors import BodyTooLarge, DecodeError, ModelError, NodescoreError, StoreUnavailable, UnsupportedMedia
from receiver.health import Component
from receiver.web.app import create_app
from tests.web.service import HeldService, fleet

Serve = Callable[[HeldService], str]


async def ask(app: FastAPI, method: str, path: str, **options: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://nodescore.test") as client:
        return await client.request(method, path, headers=options)


def test_metrics_are_served_in_the_format_that_prometheus_asks_for(serve: Serve) -> None:
    url = serve(fleet(3))
    text = httpx.get(f"{url}/metrics", headers={"Accept": "text/plain;version=0.0.4"})
    openmetrics = httpx.get(f"{url}/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert text.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert text.text.count("\nanomaly_score{") == 3
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")


def test_healthy_while_the_process_answers(serve: Serve) -> None:
    answer = httpx.get(f"{serve(fleet(1))}/-/healthy")
    assert (answer.status_code, answer.text) == (200, "Nodescore is healthy.\n")


def test_ready_and_saying_so_while_a_database_is_down(serve: Serve) -> None:
    service = fleet(1)
    service.components = [Component("journal", "ok", "3 records"), Component("TimescaleDB", "degraded", "refused")]
    answer = httpx.get(f"{serve(service)}/-/ready")
    assert answer.status_code == 200
    assert answer.text == "Nodescore is ready.\njournal: ok: 3 records\nTimescaleDB: degraded: refused\n"


def test_not_ready_when_samples_cannot_be_taken(serve: Serve) -> None:
    service = fleet(1)
    service.components = [Component("journal", "down", "the disk is full")]
    answer = httpx.get(f"{serve(service)}/-/ready")
    assert answer.status_code == 503
    assert answer.text == "Nodescore cannot take samples.\njournal: down: the disk is full\n"


def test_a_reload_answers_what_was_loaded(serve: Serve) -> None:
    service = fleet(1)
    answer = httpx.post(f"{serve(service)}/-/reload")
    assert (answer.status_code, answer.text, service.reloads) == (200, "model 2026-11-01 loaded\n", 1)


def test_a_refused_model_answers_400_with_the_reason(serve: Serve) -> None:
    service = fleet(1)
    service.reload_error = ModelError("model x.onnx: no input named x")
    answer = httpx.post(f"{serve(service)}/-/reload")
    assert (answer.status_code, answer.text) == (400, "model x.onnx: no input named x\n")


def test_a_reload_is_not_for_get(serve: Serve) -> None:
    answer = httpx.get(f"{serve(fleet(1))}/-/reload")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (DecodeError("byte 7"), 400, None),
        (BodyTooLarge("byte 7"), 413, None),
        (UnsupportedMedia("byte 7"), 415, None),
        (StoreUnavailable("byte 7"), 503, "5"),
        (StoreUnavailable("byte 7", retry_after_seconds=30), 503, "30"),
    ],
)
@pytest.mark.anyio
async def test_each_error_of_the_tree_has_its_answer(
    error: NodescoreError, status: int, retry_after: str | None, anyio_backend_name: str
) -> None:
    assert anyio_backend_name == "asyncio"
    app = create_app(fleet(1))

    @app.get("/raise")
    async def raising() -> None:
        raise error

    answer = await ask(app, "GET", "/raise")
    assert (answer.status_code, answer.text) == (status, "byte 7\n")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers.get("retry-after") == retry_after


def test_every_answer_carries_the_strict_headers(serve: Serve) -> None:
    url = serve(fleet(1))
    for path in ("/", "/metrics", "/static/nodescore.css", "/nowhere"):
        headers = httpx.get(url + path).headers
        assert headers["content-security-policy"].startswith("default-src 'none';")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_the_api_describes_itself(serve: Serve) -> None:
    paths = httpx.get(f"{serve(fleet(1))}/openapi.json").json()["paths"]
    assert {"/metrics", "/-/ready", "/api/v1/nodes", "/api/v1/nodes/{node}/scores"} <= set(paths)
