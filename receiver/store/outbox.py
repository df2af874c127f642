"""Passes finished rows, scores, labels and states on from the embedded file to another store, as long as it takes.

In: what stands behind the file's watermarks. Out: the same in the other store; behind the watermarks moved, what is
older than `keep_ms` is deleted from the file. A crash between the two repeats a block, which changes nothing. Where
more waits, the next block is read while the other store takes this one. While the other store is away the file keeps
everything, and nobody else notices: `lag` says how much waits and why.

`run` is the body of a thread of its own. `forward_once` is one step of it.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from receiver.catalogue import Catalogue
from receiver.columns import Rows, Scores
from receiver.detector.states import STATE_KEPT_MS
from receiver.errors import NodescoreError
from receiver.store.embedded.pending import Pending, PendingReader
from receiver.store.protocol import Finished, RowStore

log = logging.getLogger(__name__)

# Rows passed on in one transaction there: some 35 ms of the server's time, 4 MiB here, and 2 MiB read ahead.
BLOCK_ROWS = 5000
# Between two looks where nothing waits.
IDLE_SECONDS = 1.0
# Between two tries where the other store is away: from the first to the second, doubling, each less up to a half,
# so that the replicas of a fleet do not come back together.
FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 30.0
# Between two searches for what may be deleted here, and there.
TRIM_INTERVAL_MS = 10_000
# Between two looks for states that were saved meanwhile; they are saved once a minute.
STATES_INTERVAL_MS = 10_000
TRIM_ROWS = 10_000
RETENTION_INTERVAL_MS = 3_600_000
# A connection that is older is made anew, and what both ends remember of nodes that are gone goes with it.
CONNECTION_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the other store is behind."""

    rows_waiting: int  # at most: numbers that no row has any more count too
    oldest_ms: int | None  # the time of the oldest row that waits
    error: str | None  # why the last step failed; free of secrets
    success_ms: int = 0  # when the last step succeeded; 0 before one did


class Outbox:
    """Moves rows from the file at `path` to the store that `connect` gives.

    `keep_ms`: how long rows stay in the file though they have been passed on, for charts. `retention_ms`: how long
    they stay in the other store.
    """

    def __init__(
        self,
        path: Path,
        catalogue: Catalogue,
        connect: Callable[[], RowStore],
        keep_ms: int,
        retention_ms: int,
    ) -> None:
        self.lag = Lag(0, None, None)
        self._path = path
        self._catalogue = catalogue
        self._connect = connect
        self._keep_ms = keep_ms
        self._retention_ms = retention_ms
        self._source: PendingReader | None = None
        self._target: RowStore | None = None
        # What the last step read beyond its own block. Of a row that has changed since, the newer form comes later.
        self._ahead: Pending | None = None
        self._connected_ms = 0
        self._named: set[int] = set()  # node ids that the target knows
        self._states_ms: dict[int, int] = {}  # of each node, the state that was passed on last
        self._next_states_ms = 0
        self._next_trim_ms = 0
        self._next_retention_ms = 0

    def forward_once(self, now_ms: int) -> int:
        """Pass on one block; how many rows, scores and labels it had. Fewer than `BLOCK_ROWS` of each: that is all.

        Raises `StoreUnavailable` or `ConfigurationError` when it could not, and connects anew the next time.
        """
        block: Pending | None = None
        try:
            if self._source is None:
                # Losing a watermark in a power cut repeats a block; so it needs no sync of its own.
                self._source = PendingReader.open(self._path, self._catalogue, sync="normal")
            block, self._ahead = self._ahead or self._source.pending(BLOCK_ROWS), None
            if _due(self._connected_ms + CONNECTION_MS, CONNECTION_MS, now_ms):
                self._disconnect()
            if self._target is None:
                self._target, self._connected_ms = self._connect(), now_ms
                self._named.clear()
                names = self._source.nodes()
                self._states_ms = {node: ms for node, ms in self._states_ms.items() if node in names}
            ahead = self._pass_on(block, self._source, self._target) if len(block) else None
            if _due(self._next_retention_ms, RETENTION_INTERVAL_MS, now_ms):
                self._target.delete_before(now_ms - self._retention_ms)
                self._target.forget_states(now_ms - STATE_KEPT_MS)
                self._next_retention_ms = now_ms + RETENTION_INTERVAL_MS
            self._source.passed_on(block.watermarks)
            if not block.rows_behind:  # behind the rows, so that who takes a node over finds all that came after
                self._pass_states_on(now_ms, self._source, self._target)
            self._trim(now_ms, self._source)
            self._ahead = ahead
        except NodescoreError as error:
            self._disconnect()
            waiting, oldest_ms = self.lag.rows_waiting, self.lag.oldest_ms
            if block is not None:
                waiting, oldest_ms = block.rows_behind + block.row_count, block.oldest_ms
            self.lag = Lag(waiting, oldest_ms, str(error), self.lag.success_ms)
            raise
        self.lag = Lag(block.rows_behind, block.oldest_ms if block.rows_behind else None, None, now_ms)
        return len(block)

    def run(self, stop: threading.Event, now_ms: Callable[[], int]) -> None:
        """Pass on until `stop` is set, whatever happens to the other store; and then what was written last."""
        failures = 0
        while not stop.is_set():
            try:
                moved = self.forward_once(now_ms())
            except NodescoreError as error:
                if failures == 0:
                    log.warning("rows are not passed on, and wait here: %s", error)
                failures += 1
            except Exception as error:
                # A mistake of ours must not end the thread unseen, and may not concern the next block.
                log.exception("passing rows on failed")
                self.lag = replace(self.lag, error=f"internal error: {type(error).__name__}")
                failures += 1
            else:
                if failures:
                    log.info("rows are passed on again after %d failures", failures)
                failures = 0
                if moved < BLOCK_ROWS:
                    stop.wait(IDLE_SECONDS)
                continue
            stop.wait(retry_seconds(failures, random.random()))  # noqa: S311  no secret depends on it
        if not failures:  # else it would only hold up the end; all of it waits for the next start
            self._next_states_ms = 0
            with suppress(NodescoreError):
                self.forward_once(now_ms())
        self.close()

    def close(self) -> None:
        """Give up both ends."""
        self._ahead = None
        self._disconnect()
        if self._source is not None:
            self._source.close()
            self._source = None

    def _pass_on(self, block: Pending, source: PendingReader, target: RowStore) -> Pending | None:
        """Write a block there; meanwhile read the next one, where more waits."""
        self._name(block.nodes, source, target)
        if not block.rows_behind:
            self._write(block, target)
            return None
        with ThreadPoolExecutor(1, "outbox-ahead") as helper:
            ahead = helper.submit(source.pending, BLOCK_ROWS, block.watermarks)
            self._write(block, target)
            with suppress(NodescoreError):  # this block is written all the same; the next step reads again, and says it
                return ahead.result()
        return None

    def _write(self, block: Pending, target: RowStore) -> None:
        features = len(self._catalogue.feature_names)
        rows, fills, none = block.rows, block.fills, Rows.empty(features)
        for version, scores in block.scores or (("", Scores.empty(features)),):
            # Together with the rows: mostly all scores are of one model, and appear there with what they score.
            target.write(Finished(rows, fills, scores, version, 0))
            rows = fills = none
        for label in block.labels:
            target.add_label(label)

    def _pass_states_on(self, now_ms: int, source: PendingReader, target: RowStore) -> None:
        if not _due(self._next_states_ms, STATES_INTERVAL_MS, now_ms):
            return
        for states in source.states(self._states_ms):
            nodes = states.node.tolist()
            self._name(set(nodes), source, target)
            target.save_states(states)
            self._states_ms.update(zip(nodes, states.time_ms.tolist(), strict=True))
        self._next_states_ms = now_ms + STATES_INTERVAL_MS

    def _name(self, nodes: set[int], source: PendingReader, target: RowStore) -> None:
        unnamed = nodes - self._named
        if unnamed:
            names = source.nodes()
            target.add_nodes({node: names[node] for node in unnamed})
            self._named |= unnamed

    def _trim(self, now_ms: int, source: PendingReader) -> None:
        if not _due(self._next_trim_ms, TRIM_INTERVAL_MS, now_ms):
            return
        gone = source.trim(now_ms - self._keep_ms, TRIM_ROWS)
        if gone < TRIM_ROWS:
            self._next_trim_ms = now_ms + TRIM_INTERVAL_MS

    def _disconnect(self) -> None:
        if self._target is not None:
            self._target.close()
            self._target = None


def _due(next_ms: int, every_ms: int, now_ms: int) -> bool:
    """Whether it is time again, or the clock has been set back since."""
    return not next_ms - every_ms <= now_ms < next_ms


def retry_seconds(failures: int, jitter: float) -> float:
    """How long to wait after so many failures in a row; `jitter` from 0 to 1."""
    longest = min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 32))
    return longest * (1 - jitter / 2)
