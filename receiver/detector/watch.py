"""A model file that may be replaced while the service runs.

`Watch.poll` costs one `stat` while nothing has changed. It never gives up a working model: a new file that is
bad raises `ModelError` once, and the model in use stays until a good one lies there.
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

    def poll(self) -> Detector | None:
        """The new model, or None where the file is as it was. Raises `ModelError` once for a file that is bad."""
        mark = _mark(self._path)
        if mark == self._mark:
            return None
        self._mark = mark
        if not mark:
            raise ModelError(f"model {self._path}: the file is gone; the model in use stays")
        detector = Detector.load(self._path, self._feature_names)
        if detector.info.sha256 == self._sha256:
            return None
        self._sha256 = detector.info.sha256
        return detector


def _mark(path: Path) -> tuple[int, ...]:
    try:
        stat = path.stat()
    except OSError:
        return ()
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)
