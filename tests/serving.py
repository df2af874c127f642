"""A service with a model that counts rows, without its port."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from receiver import catalogue
from receiver.detector import Detector
from receiver.service import Service
from receiver.settings import Settings
from tests import counting_model
from tests.wire.requests import HEADERS, body, series

CATALOGUE = catalogue.load()


@contextmanager
def running(folder: Path, **options: object) -> Iterator[Service]:
    model = folder / "model.onnx"
    if not model.exists():
        counting_model.write(model, CATALOGUE)
    settings = Settings.model_validate({"data_dir": folder / "data", "assembly_deadline_seconds": 0.2, **options})
    service = Service(settings, CATALOGUE, Detector.load(model, CATALOGUE.feature_names))
    service.start()
    try:
        yield service
    finally:
        service.stop()


def request(time_ms: int, instance: str = "a:9100") -> bytes:
    return body(1, [series("node_load1", 1.0, time_ms, instance=instance)])


def write(service: Service, *bodies: bytes) -> list[object]:
    async def all_at_once() -> list[object]:
        return await asyncio.gather(*(service.worker.write(one, HEADERS[1]) for one in bodies), return_exceptions=True)

    return asyncio.run(all_at_once())
