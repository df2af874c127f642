from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import uvicorn

from receiver.web.app import create_app
from tests.web.guarded import EVERY_ROLE, TOKEN, Guarded, guarded_by
from tests.web.served import served
from tests.web.service import HeldService


@pytest.fixture
def serve() -> Iterator[Callable[[HeldService], str]]:
    """Serve a service with a real uvicorn; the URL."""
    with ExitStack() as stack:

        def start(service: HeldService) -> str:
            config = uvicorn.Config(create_app(service), log_level="warning", lifespan="off")
            host, port = stack.enter_context(served(config))
            return f"http://{host}:{port}"

        yield start


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A user for each role, who is called like it, one who has none, and a token for Prometheus."""
    with guarded_by(EVERY_ROLE, tmp_path_factory.mktemp("access"), {"TOKEN": TOKEN}) as one:
        yield one
