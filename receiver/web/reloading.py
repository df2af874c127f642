"""Reading anew what may change while the service runs: the web configuration and the model.

By `POST /-/reload`, by SIGHUP, and for the web configuration by itself, when one of its files has changed.
"""

from __future__ import annotations

import logging
import queue
import threading

from receiver.errors import NodescoreError
from receiver.web.access import Access
from receiver.web.protocol import Service

# A renewed certificate has days left when it is put there.
POLL_SECONDS = 5.0
# A model that is being loaded when the service ends.
STOP_SECONDS = 5.0

log = logging.getLogger(__name__)


def reload_all(service: Service, access: Access | None) -> str:
    """The lines to answer. Raises `ConfigurationError`, and then the one that is named goes on as it was."""
    lines = [] if access is None else [access.reload()]
    return "\n".join([*lines, service.reload()])


class Reloading:
    """The thread that does it."""

    def __init__(self, service: Service, access: Access | None) -> None:
        self._service, self._access = service, access
        # A handler of signals may put into it, also one that has interrupted another.
        self._asked: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="reloading", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def ask(self, *_: object) -> None:
        """Reload all, soon; a handler of signals."""
        self._asked.put(True)

    def stop(self) -> None:
        """Look no more."""
        self._asked.put(False)
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while True:
            try:
                if not self._asked.get(timeout=POLL_SECONDS):
                    return
                log.info("%s", reload_all(self._service, self._access).replace("\n", "; "))
            except queue.Empty:
                if self._access is not None:
                    self._access.poll()
            except NodescoreError as error:
                log.error("reload: %s", error)
