import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
import uvicorn

from receiver.web.app import create_app
from tests.web.service import HeldService


@contextmanager
def _served(service: HeldService) -> Iterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(service), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        # The socket listens already, so this waits for the server rather than being refused by it.
        httpx.get(f"{url}/-/healthy", timeout=30).raise_for_status()
        yield url
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.fixture
def serve() -> Iterator[Callable[[HeldService], str]]:
    """Serve a service with a real uvicorn; the URL."""
    with ExitStack() as stack:
        yield lambda service: stack.enter_context(_served(service))
