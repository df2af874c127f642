"""`nodescore export` in a process of its own, for a download: what it writes, chunk by chunk.

A table takes minutes of a core to write. One is written at a time, in the way of `receiver.own_process`.

`Exports.start` raises `DataError` for what the command refuses, with its line, and `Unavailable` while another export
runs. A table that breaks off later raises there, so that the connection breaks too, and nobody takes a part for the
whole. Costs some 0.5 s until the first byte, and a chunk of memory.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from receiver.errors import DataError, Unavailable
from receiver.own_process import FOLDER, NICENESS, command, environment
from receiver.settings import Settings

CHUNK_BYTES = 256 * 1024
# Of the command's standard error, whose last line is shown.
MAX_ERROR_BYTES = 16 * 1024
# A z-scored table is read twice, and has no byte before the second time.
FIRST_SECONDS = 300
RETRY_SECONDS = 10
STATUS_WRONG = 2  # as the command ends where the operator has to change something


class Exports:
    """Of one service, on its event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running = False

    async def start(self, arguments: Sequence[str]) -> Export:
        """Begin to write the table that these arguments of the command choose. The caller closes it."""
        if self._running:
            raise Unavailable("another export of this service runs; try again when it is done", RETRY_SECONDS)
        self._running = True
        export = Export(self)
        try:
            await export.begin([*arguments, "-"], environment(self._settings))
        except BaseException:
            await export.close()
            raise
        return export

    def done(self) -> None:
        """The next one may begin."""
        self._running = False


class Export:
    """One that has begun to write."""

    def __init__(self, exports: Exports) -> None:
        self._exports = exports
        self._process: Process | None = None
        self._first = b""

    async def begin(self, arguments: Sequence[str], variables: dict[str, str]) -> None:
        """Start the process, and wait for its first bytes."""
        self._process = await asyncio.create_subprocess_exec(
            *command("export", arguments),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            env=variables,
            cwd=FOLDER,
        )
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, self.pid, NICENESS)
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                self._first = await self._read()
                if not self._first:
                    await self._check()
        except TimeoutError:
            raise Unavailable(
                f"the export wrote nothing within {FIRST_SECONDS} s; choose less", RETRY_SECONDS
            ) from None

    @property
    def pid(self) -> int:
        """Of its process; 0 before it has one."""
        return 0 if self._process is None else self._process.pid

    async def chunks(self) -> AsyncIterator[bytes]:
        """All that is written; raises where it does not end well."""
        chunk = self._first
        while chunk:
            yield chunk
            chunk = await self._read()
        await self._check()

    async def close(self) -> None:
        """End the process, if it has not ended."""
        try:
            if self._process is not None:
                with suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()
        finally:
            self._exports.done()

    async def _read(self) -> bytes:
        stdout = self._process.stdout if self._process is not None else None
        return await stdout.read(CHUNK_BYTES) if stdout is not None else b""

    async def _check(self) -> None:
        """Raise what the command has said, where it failed."""
        if self._process is None or self._process.stderr is None:
            return
        said = await self._process.stderr.read(MAX_ERROR_BYTES)
        status = await self._process.wait()
        if status:
            line = (said.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            text = line.removeprefix("nodescore: ")
            raise DataError(text) if status == STATUS_WRONG else Unavailable(f"the export failed: {text}")
