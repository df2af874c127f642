"""When the model is trained anew: every so often, and when operators have said enough; in a process of its own.

In: the settings, the store of versions, the labels. Out: a run of `nodescore retrain`, whose lines go to the log, and
whose new version every replica follows where it is promoted. One runs at a time, of all replicas: the command sees to
that. One that failed is tried again after `RETRY_MS`. Does nothing where the model is fixed, or where what training
needs is not installed, which the log says once.

Costs, every `LOOK_SECONDS`, a query for the versions and one for the labels.
"""

from __future__ import annotations

import logging
import os
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from importlib.util import find_spec

from receiver import own_process, registry
from receiver.catalogue import Catalogue
from receiver.errors import NodescoreError
from receiver.exposition import Metrics
from receiver.settings import Settings
from receiver.store import RowReader

LOOK_SECONDS = 60
DAY_MS = 86_400_000
RETRY_MS = 6 * 3_600_000
# What the extra `train` brings, and serving does not need.
NEEDED = ("skl2onnx", "sklearn")
STOP_SECONDS = 5

log = logging.getLogger(__name__)


class Retraining:
    """Of one service; `reader` opens the store that all replicas share."""

    def __init__(
        self, settings: Settings, catalogue: Catalogue, reader: Callable[[], RowReader], metrics: Metrics
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._reader = reader
        self._metrics = metrics
        self._tried_ms = 0
        self._process: subprocess.Popen[str] | None = None
        self._stopping = threading.Event()

    @property
    def wanted(self) -> bool:
        """Whether the settings ask for it, and it can be done."""
        settings = self._settings
        if settings.model is not None or not (settings.retrain_every_days or settings.retrain_after_labels):
            return False
        missing = [name for name in NEEDED if find_spec(name) is None]
        if missing:
            log.info("the model is not trained anew here: %s not installed; pip install 'nodescore[train]'", missing)
        return not missing

    def run(self, now_ms: Callable[[], int]) -> None:
        """Look, again and again, until `stop`."""
        if not self.wanted:
            return
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                reason = self.due(now_ms())
            except NodescoreError as error:
                log.warning("whether to train anew is not known: %s", error)
                continue
            if reason:
                self._tried_ms = now_ms()
                log.info("training anew: %s", reason)
                self._train()

    def due(self, now_ms: int) -> str:
        """Why to train anew now; "" where there is no reason."""
        if now_ms < self._tried_ms + RETRY_MS and self._tried_ms:
            return ""
        last_ms = self._last_ms()
        if last_ms is None:
            return ""
        settings = self._settings
        if settings.retrain_every_days and now_ms >= last_ms + settings.retrain_every_days * DAY_MS:
            return f"the last time was {settings.retrain_every_days:g} days ago"
        if settings.retrain_after_labels:
            with closing(self._reader()) as reader:
                new = sum(label.created_ms > last_ms for label in reader.labels(0, now_ms + DAY_MS))
            if new >= settings.retrain_after_labels:
                return f"{new} labels are new"
        return ""

    def stop(self) -> None:
        """Have `run` return soon; a training that runs is given up."""
        self._stopping.set()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.terminate()

    def _last_ms(self) -> int | None:
        """When a model was last trained here; before that, when the first one was taken; None where none was."""
        with registry.opened(self._settings, self._catalogue) as models:
            trained = [version.created_ms for version in models.versions() if "gate" in version.measures]
            return max(trained, default=None) or next((entry.at_ms for entry in models.activations()), None)

    def _train(self) -> None:
        process = subprocess.Popen(  # noqa: S603 - the command is ours, and no shell reads it
            own_process.command("retrain"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=own_process.environment(self._settings),
            cwd=own_process.FOLDER,
            text=True,
        )
        self._process = process
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, own_process.NICENESS)
        with process:
            for line in process.stdout or ():
                log.info("retrain: %s", line.rstrip())
        self._process = None
        status = process.returncode
        self._metrics.retrainings["failed" if status else "done"].inc()
        if status:
            log.warning("training anew ended with status %d; it is tried again in %d h", status, RETRY_MS // 3_600_000)
