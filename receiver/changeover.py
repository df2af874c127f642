"""Another model takes over while the service runs: between two batches, without a score lost, doubled or mixed.

`Changeover.run` is the body of a thread of its own. It asks a source (the store of versions, or a fixed file) whether
another model shall be used. The new model first learns, on a copy, what it would remember had it been in use: the last
hour of stored rows is stepped again, in the order in which they were scored, and then what has come meanwhile. What was
scored since the last look is stepped on the pipeline's thread, and then the pipeline goes on with the new states. So
each row is scored once, by one model, and the new one knows of every row before it.

Where the new model cannot be used, `fault` says why, and the one in use stays. Costs 3 µs a row on this thread, which
lets go of the interpreter between blocks; on the pipeline's, some 20 ms at most. Memory: the states of both models.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import Protocol

import numpy as np

from receiver.clocks import Clocks
from receiver.columns import Rows
from receiver.detector import Detector, NodeStates
from receiver.drift import Drift
from receiver.errors import ModelError, NodescoreError, Unavailable
from receiver.pipeline import WARM_UP_SECONDS, Pipeline
from receiver.store.reader import EmbeddedReader

# Between two looks at the source. With the warm-up, a replica follows within 10 s.
LOOK_SECONDS = 2.0
# Rows that are read and stepped at once beside the pipeline: some 2 ms.
BLOCK_ROWS = 500
# How long this thread keeps the interpreter while another one waits for it, instead of 5 ms: a request is handed on
# between threads some ten times, and would wait so long each time.
SWITCH_SECONDS = 0.0005
# Rows that are stepped on the pipeline's thread at most: what 5,000 nodes send in two seconds.
LAST_ROWS = 1000

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where another model may come from."""

    def poll(self, now_ms: int) -> Detector | None:
        """The model to go on with; None where it is the one in use. Raises `ModelError` while it cannot be used."""

    def taken(self, detector: Detector) -> None:
        """It is in use now."""

    def close(self) -> None:
        """Give up what is held open."""


class Changeover:
    """Of one pipeline; `order` has something done on its thread."""

    def __init__(
        self, pipeline: Pipeline, source: Source, order: Callable[[Callable[[], None]], None], clocks: Clocks
    ) -> None:
        self.stopping = False
        self.fault = ""  # why another model is not in use, or not known
        self._pipeline = pipeline
        self._source = source
        self._order = order
        self._clocks = clocks
        self._one_at_a_time = threading.Lock()
        self._look_now = threading.Event()

    def run(self) -> None:
        """Look, again and again, until `stop`."""
        while not self.stopping:
            try:
                self.step()
            except NodescoreError as error:
                if str(error) != self.fault:
                    log.warning("the model in use stays: %s", error)
                self.fault = str(error)
            except Exception as error:
                log.exception("going on with another model failed")
                self.fault = f"internal error: {type(error).__name__}"
            self._look_now.wait(LOOK_SECONDS)
            self._look_now.clear()
        self._source.close()

    def look_now(self) -> None:
        """Have the thread look without waiting."""
        self._look_now.set()

    def stop(self) -> None:
        """Have `run` return soon."""
        self.stopping = True
        self._look_now.set()

    def step(self) -> None:
        """Look once, and go on with another model where there is one. Raises why that cannot be."""
        with self._one_at_a_time:
            try:
                detector = self._source.poll(self._clocks.wall_ms())
            except ModelError as error:
                if str(error) != self.fault:
                    self._pipeline.metrics.model_load_failures.inc()
                raise
            if detector is not None:
                self._change_to(detector)
                self._source.taken(detector)
            self.fault = ""

    def _change_to(self, detector: Detector) -> None:
        states, drift = NodeStates(detector), Drift(detector.info)
        reader = EmbeddedReader.open(self._pipeline.store.path, self._pipeline.catalogue)
        usual_seconds = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        try:
            learner = _Learner(states, dict(self._pipeline.learnt_since_ms))
            seen = reader.before_scores_of(self._clocks.wall_ms() - WARM_UP_SECONDS * 1000)
            done = False
            while not done:
                seen = self._catch_up(reader, learner, seen)
                done = self._finish(learner, drift, seen)
        finally:
            sys.setswitchinterval(usual_seconds)
            reader.close()
        log.info("model %s is in use", detector.info.version)

    def _finish(self, learner: _Learner, drift: Drift, seen: int) -> bool:
        """On the pipeline's thread: step what is left, and change; False where too much is left."""
        done = False

        def change() -> None:
            nonlocal done
            self._pipeline.store_pending()
            _, rows = self._pipeline.store.scored_after(seen, LAST_ROWS + 1)
            if len(rows) <= LAST_ROWS:
                learner.learn(rows)
                self._pipeline.go_on_with(learner.states, drift)
                for node, since_ms in self._pipeline.learnt_since_ms.items() - learner.since_ms.items():
                    self._pipeline.learn_anew(node, since_ms, self._clocks.wall_ms())
                done = True

        self._order(change)
        return done

    def _catch_up(self, reader: EmbeddedReader, learner: _Learner, seen: int) -> int:
        """Step what was scored behind this change, until little is left; the last change that was stepped."""
        while True:
            if self.stopping:
                raise Unavailable("Nodescore is stopping", retry_after_seconds=1)
            seen, rows = reader.scored_after(seen, BLOCK_ROWS)
            learner.learn(rows)
            if len(rows) < BLOCK_ROWS:
                return seen


class _Learner:
    """The states of a model that is not in use yet. A node that was learnt anew is learnt from there on only."""

    def __init__(self, states: NodeStates, since_ms: dict[int, int]) -> None:
        self.states = states
        self.since_ms = since_ms

    def learn(self, rows: Rows) -> None:
        """Step these rows."""
        if self.since_ms:
            since_ms = np.array([self.since_ms.get(node, 0) for node in rows.node.tolist()], np.int64)
            rows = rows.where(rows.time_ms >= since_ms)
        self.states.score(rows)
