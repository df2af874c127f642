"""`nodescore replay`: send a recording again, as of now."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from receiver.cli.progress import progress
from receiver.cli.recording import Recorded, Sender, read
from receiver.errors import DataError

EXAMPLES_NAMED = 3


def replay(
    file: Annotated[Path, typer.Argument(help="JSON lines of requests, gzipped where the name ends in .gz.")],
    url: Annotated[str, typer.Option(help="Where to send.")] = "http://127.0.0.1:9201/api/v1/write",
    speed: Annotated[float, typer.Option(min=0, help="Times the recorded pace; 0 sends as fast as it is taken.")] = 1.0,
    token_file: Annotated[
        Path | None, typer.Option(help="File of a bearer token to send with each request.", show_default=False)
    ] = None,
    shift: Annotated[bool, typer.Option(help="Move all samples in time so that the last is as of its sending.")] = True,
) -> None:
    """Send recorded remote-write requests again.

    The samples keep their spacing whatever the speed, because rates depend on it: at a speed over 1 the first ones
    lie in the past, and the last one is as of when it is sent. Credentials that were recorded are not sent again.

        nodescore replay incident.jsonl.gz --speed 10
        nodescore replay incident.jsonl.gz --url https://nodescore.example:9201 --token-file replay.token
    """
    requests = read(file)
    authorization = {} if token_file is None else {"authorization": f"Bearer {_token(token_file)}"}
    if (shift or speed) and any(request.at_ms is None for request in requests):
        raise DataError(f"recording {file}: some lines have no at_ms; send it with --no-shift --speed 0")
    started_ms = time.time() * 1000
    delta_ms = delta_of(requests, started_ms, speed) if shift else 0
    first_ms = requests[0].at_ms or 0
    statuses: Counter[int] = Counter()
    refusals: list[str] = []
    with closing(Sender(url)) as sender, progress(len(requests), "sending") as advance:
        for request in requests:
            if speed:
                due_ms = started_ms + ((request.at_ms or 0) - first_ms) / speed
                time.sleep(max(0.0, due_ms / 1000 - time.time()))
            answer = sender.send({**request.headers, **authorization}, moved(request, delta_ms))
            statuses[answer.status] += 1
            if answer.status >= 300 and answer.text not in refusals and len(refusals) < EXAMPLES_NAMED:
                refusals.append(answer.text)
            advance(1)
    counts = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))
    typer.echo(f"{len(requests)} requests sent to {sender.url}: {counts}")
    for refusal in refusals:
        typer.echo(f"  {refusal}")
    if any(status >= 300 for status in statuses):
        raise typer.Exit(1)


def _token(file: Path) -> str:
    """Raises `DataError`, and shows nothing of what the file holds."""
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--token-file {file}: cannot be read: {getattr(error, 'strerror', 'not ASCII')}") from None
    if not token or not token.isprintable() or " " in token:
        raise DataError(f"--token-file {file}: is not a token on one line")
    return token


def delta_of(requests: list[Recorded], now_ms: float, speed: float) -> int:
    """How much later every sample shall be, so that the last is not in the future when it is sent."""
    arrivals = [request.at_ms or 0 for request in requests]
    length_ms = max(arrivals) - min(arrivals)
    return round(now_ms + (length_ms / speed if speed else 0.0) - max(arrivals))


def moved(request: Recorded, delta_ms: int) -> bytes:
    """The body of a request with its samples that much later."""
    from receiver.wire import shift

    return shift(request.body, request.headers, delta_ms) if delta_ms else request.body
