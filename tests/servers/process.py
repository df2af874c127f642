"""A server as a child process: started, awaited, stopped by its process id, its log kept in a file."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 20.0
POLL_SECONDS = 0.1

T = TypeVar("T")


def wait_until(check: Callable[[], T | None], what: str, timeout_seconds: float = START_TIMEOUT_SECONDS) -> T:
    """Ask again and again until `check` gives something true, and give that; TimeoutError says what never came.

    A check that raises OSError (a server that does not answer yet) is asked again.
    """
    deadline = time.monotonic() + timeout_seconds
    last: object = None
    while True:
        try:
            found = check()
        except OSError as error:
            found, last = None, error
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_seconds:g} s ({last or found!r})")
        time.sleep(POLL_SECONDS)


class Process:
    """One program with its arguments; may be started and stopped many times, and logs all into one file."""

    start_timeout_seconds = START_TIMEOUT_SECONDS

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        log: Path,
        ready: Callable[[], object],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.argv = [str(word) for word in argv]
        self.log = log
        self.ready = ready
        self.environment = {**os.environ, **(environment or {})}
        self.child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        if self.child is None:
            raise RuntimeError(f"{self.name} is not running")
        return self.child.pid

    def start(self) -> None:
        """Start, and return when the server is ready; RuntimeError, with its log, where it is not."""
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=self.environment
            )
        try:
            wait_until(self._ready_or_dead, f"{self.name} is ready", self.start_timeout_seconds)
        except TimeoutError as error:
            self.kill()
            raise RuntimeError(f"{error}\n{self.tail()}") from error

    def _ready_or_dead(self) -> object:
        if self.child is not None and self.child.poll() is not None:
            raise RuntimeError(f"{self.name} ended with status {self.child.returncode}\n{self.tail()}")
        return self.ready()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask the process to end, and wait; its exit status. One that does not end is killed: a RuntimeError."""
        child, self.child = self.child, None
        if child is None:
            return 0
        child.send_signal(how)
        try:
            return child.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise RuntimeError(
                f"{self.name} did not end within {STOP_TIMEOUT_SECONDS:g} s of {how.name}\n{self.tail()}"
            ) from None

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.child is not None:
            self.stop(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def tail(self, lines: int = 40) -> str:
        """The end of the log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join([f"--- log of {self.name}: {self.log}", *text.splitlines()[-lines:]])


P = TypeVar("P", bound=Process)


class Runner:
    """Starts processes, and stops them in the opposite order."""

    def __init__(self) -> None:
        self.started: list[Process] = []

    def __call__(self, server: P) -> P:
        """Start `server`, wait until it is ready, and give it back."""
        self.started.append(server)
        server.start()
        return server

    def stop_all(self) -> None:
        """Stop what still runs."""
        for server in reversed(self.started):
            server.stop()
