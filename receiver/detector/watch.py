"""A model file that may be replaced while the service runs.

`Watch.poll` costs one `stat` while nothing has changed. It never gives up a working model: while a bad file lies there
it raises `ModelError`, having looked at it once, and the model in use stays until a good one lies there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from receiver.detector.model import Detector
from receiver.errors import ModelError


class Watch:
    """Looks whether the file of the model in use has become another one."""

    def __init__(self, detector: Detector, feature_names: Sequence[str]) -> None:
        self._path = detector.info.path
        self._feature_names = tuple(feature_names)
        self._sha256 = detector.info.sha256
        # Not yet looked at: the first poll compares content, in case the file changed since it was loaded.
        self._mark: tuple[int, ...] | None = None
        self._new: Detector | None = None
        self._bad: ModelError | None = None

    def poll(self, _now_ms: int = 0) -> Detector | None:
        """The new model until it is taken, None where the file has that in use. Raises `ModelError` while it is bad."""
        mark = _mark(self._path)
        if mark != self._mark:
            self._mark, self._new, self._bad = mark, None, None
            try:
                if not mark:
                    raise ModelError(f"model {self._path}: the file is gone; the model in use stays")
                detector = Detector.load(self._path, self._feature_names)
                self._new = detector if detector.info.sha256 != self._sha256 else None
            except ModelError as error:
                self._bad = error
        if self._bad is not None:
            raise self._bad
        return self._new

    def taken(self, detector: Detector) -> None:
        """It is in use now."""
        self._sha256, self._new = detector.info.sha256, None

    def close(self) -> None:
        """Nothing is held."""


def _mark(path: Path) -> tuple[int, ...]:
    try:
        stat = path.stat()
    except OSError:
        return ()
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
