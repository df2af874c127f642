"""A service within limits, served."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import uvicorn

from receiver.detector import Detector
from receiver.service import Service
from receiver.settings import Settings
from receiver.web.app import create_app
from receiver.web.connection import connection_class
from receiver.web.room import Limits, Room
from receiver.web.server import config
from tests import counting_model
from tests.web.connections.limited import CATALOGUE, Serve, Server
from tests.web.service import fleet


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve a real service within limits."""
    with ExitStack() as stack:

        def start(limits: Limits) -> Server:
            model = counting_model.write(tmp_path / "model.onnx", CATALOGUE)
            settings = Settings.model_validate({"data_dir": tmp_path / "data"})
            service = Service(settings, CATALOGUE, Detector.load(model, CATALOGUE.feature_names))
            service.start()
            stack.callback(service.stop)
            return Server(stack, service, config(service, limits))

        yield start


@pytest.fixture
def serve_pages() -> Iterator[Serve]:
    """Serve pages only, with an exposition that is more than the kernel takes of an answer that nobody reads."""
    with ExitStack() as stack:

        def start(limits: Limits) -> Server:
            service = fleet(2000, rows=1, attacked=0)
            protocol = connection_class(Room(limits, service.exposition.metrics))
            return Server(stack, service, uvicorn.Config(create_app(service), http=protocol, log_level="warning"))

        yield start
