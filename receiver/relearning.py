"""What an operator has called normal is learnt, beside the pipeline, wherever it was said.

While a node is over the threshold its baseline stands still; a label that calls that time normal has it forgotten, and
learnt anew from the label's beginning. `look`, every few seconds, asks both stores for such labels, where any node is
over: here are those of this service and of commands on its file, in the TimescaleDB those of other replicas. What the
database says of a label holds; while it is away, what is here.

The last hour of the node's rows is stepped on a copy of its state, on this thread, and what has come meanwhile on the
pipeline's: 0.25 ms a row. Raises `StoreUnavailable`, and `Unavailable` where the service stops. Each label is learnt
once in a process.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing

import numpy as np

from receiver.clocks import Clocks
from receiver.columns import Scores
from receiver.detector import NodeStates
from receiver.errors import NodescoreError, StoreUnavailable
from receiver.learner import ANEW_SECONDS
from receiver.pipeline import Pipeline
from receiver.store import Label, RowReader, labelling
from receiver.store.embedded import EmbeddedReader

# Between two looks: with the time that they take, a label is learnt within 10 s.
LOOK_SECONDS = 3.0
# After all rows.
FOR_EVER_MS = 2**62

log = logging.getLogger(__name__)


class Relearning:
    """Of one pipeline; `order` has something done on its thread, `changing` is held while its states are replaced.

    `common` connects to the TimescaleDB where there is one.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        order: Callable[[Callable[[], None]], None],
        changing: threading.Lock,
        clocks: Clocks,
        common: Callable[[], RowReader] | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._order = order
        self._changing = changing
        self._clocks = clocks
        self._common = common
        self._connected: RowReader | None = None
        self._learnt: set[str] = set()  # digests of labels
        self._fault = ""
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look, again and again, until `stop`."""
        while not self._stopping.is_set():
            try:
                self.look()
            except NodescoreError as error:
                self._tell(str(error))
            except Exception:
                log.exception("learning what is normal failed")
            self._stopping.wait(LOOK_SECONDS)
        self._disconnect()

    def stop(self) -> None:
        """Have `run` return soon."""
        self._stopping.set()

    def look(self) -> None:
        """Learn what has been called normal since the last look."""
        snapshot = self._pipeline.exposition.snapshot
        over = np.flatnonzero(snapshot.over_since_ms).tolist()
        if not over:
            return
        since_ms = {snapshot.names[at]: (int(snapshot.node[at]), int(snapshot.over_since_ms[at])) for at in over}

        def wanted(label: Label) -> bool:
            over_ms = since_ms.get(label.name, (0, label.end_ms + 1))[1]
            return label.end_ms >= over_ms and not label.attack and labelling.digest(label) not in self._learnt

        with closing(self._opened()) as here:
            said = self._said(here, min(ms for _, ms in since_ms.values()), wanted)
        for label in said:
            self.learn(since_ms[label.name][0], label.start_ms)
            self._learnt.add(labelling.digest(label))
            log.info("%r: what is normal is learnt anew, as a label of %r says", label.name.node, label.author)

    def learn(self, node: int, since_ms: int) -> None:
        """Forget what was usual on a node, and learn it from its stored rows since then."""
        pipeline = self._pipeline
        with self._changing, closing(self._opened()) as here:
            states = NodeStates(pipeline.states.detector)
            only = np.array([node], np.int32)
            wall_ms = self._clocks.wall_ms()
            begin_ms = max(since_ms, wall_ms - ANEW_SECONDS * 1000)
            scores = [states.score(past.rows()) for past in here.read_scores(begin_ms, wall_ms + 1, [node])]

            def finish() -> None:
                pipeline.store_pending()
                newer_ms = max(begin_ms, int(states.last_ms(only)[0]) + 1)
                newer = pipeline.store.read_scores(newer_ms, FOR_EVER_MS, [node])
                scores.extend(states.score(past.rows()) for past in newer)
                learnt = Scores.joined(scores, len(pipeline.catalogue.features))
                pipeline.learn_anew(node, since_ms, states.snapshot(only), learnt)

            self._order(finish)

    def _said(self, here: RowReader, since_ms: int, wanted: Callable[[Label], bool]) -> list[Label]:
        """The wanted labels that hold."""
        until_ms = self._clocks.wall_ms() + 1
        ours = [label for label in here.labels(since_ms, until_ms) if wanted(label)]
        if self._common is None:
            return ours
        try:
            if self._connected is None:
                self._connected = self._common()
            theirs = [label for label in self._connected.labels(since_ms, until_ms) if wanted(label)]
            ours = [label for label in ours if not self._connected.label_history(labelling.key_of(label))]
        except StoreUnavailable as error:
            self._disconnect()
            self._tell(str(error))
            return ours
        self._fault = ""
        return theirs + ours

    def _opened(self) -> EmbeddedReader:
        return EmbeddedReader.open(self._pipeline.store.path, self._pipeline.catalogue)

    def _tell(self, fault: str) -> None:
        if fault != self._fault:
            log.warning("what is normal may be learnt late: %s", fault)
        self._fault = fault

    def _disconnect(self) -> None:
        if self._connected is not None:
            self._connected.close()
            self._connected = None
