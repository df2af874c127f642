"""Programs that a command starts beside itself and ends with itself: the service, Prometheus, node_exporter."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from receiver.catalogue import Catalogue
from receiver.errors import ConfigurationError, Unavailable
from receiver.promql import prometheus_snippet

# A first start compiles its loops: 15 s of two cores, and a minute where others use them. What fails is seen at once.
START_SECONDS = 180.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.1
# Below those that Linux gives to outgoing connections, which could take one before a server listens on it.
PORTS = range(20_000, 32_000)
PORT_ATTEMPTS = 100
# A line or two of a log say why a program ended.
LOG_TAIL_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Running:
    """A program under way; its output goes to a file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise `Unavailable` with the end of its log where it has ended."""
        if self.process.poll() is not None:
            tail = self.log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARACTERS:].strip()
            raise Unavailable(f"{self.name} ended with status {self.process.returncode}: {tail or 'it said nothing'}")

    def await_ok(self, url: str) -> None:
        """Wait until it answers 200 at a URL."""
        give_up = time.monotonic() + START_SECONDS
        while not answers(url):
            self.check()
            if time.monotonic() > give_up:
                raise Unavailable(f"{self.name} does not answer at {url} after {START_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)


def end_in_order() -> None:
    """Have a request to end, and a closed terminal, end this command as Ctrl-C does: with all that it started."""
    for signal_ in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_, signal.default_int_handler)


@contextmanager
def running(name: str, command: Sequence[str], log: Path) -> Iterator[Running]:
    """Start a program without our NODESCORE_ variables; it is ended, and waited for, on leaving."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NODESCORE_")}
    with log.open("wb") as output:
        # In a session of its own, so that Ctrl-C reaches us first and we end it in order.
        process = subprocess.Popen(  # noqa: S603 - the commands are ours, and no shell reads them
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    try:
        yield Running(name, process, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    """True where a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the URLs are ours, all http
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def free_port(preferred: int = 0) -> int:
    """The preferred port of 127.0.0.1 where it is free, else another that the kernel gives to no connection of ours."""
    others = secrets.SystemRandom().sample(PORTS, PORT_ATTEMPTS)  # another process looks for one at the same time
    for port in (preferred, *others) if preferred else others:
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise Unavailable("no free port on 127.0.0.1")


def program(*names: str) -> str:
    """The path of the first of these programs that is found."""
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    raise ConfigurationError(f"{' or '.join(names)} is not on the PATH; install it")


@contextmanager
def node_exporter(folder: Path) -> Iterator[str]:
    """The address of a node_exporter of this machine: the usual one where it answers, else one of our own."""
    usual = "127.0.0.1:9100"
    if answers(f"http://{usual}/metrics"):
        yield usual
        return
    address = f"127.0.0.1:{free_port()}"
    path = program("prometheus-node-exporter", "node_exporter")
    command = [path, f"--web.listen-address={address}", "--collector.tcpstat"]
    with running("node_exporter", command, folder / "node_exporter.log") as exporter:
        exporter.await_ok(f"http://{address}/metrics")
        yield address


@contextmanager
def prometheus(
    folder: Path, catalogue: Catalogue, write_url: str, exporter: str, node: str, scrape_seconds: int
) -> Iterator[Running]:
    """A Prometheus that scrapes one node_exporter and writes what the catalogue wants to a URL."""
    configuration = folder / "prometheus.yml"
    configuration.write_text(
        f"global: {{scrape_interval: {scrape_seconds}s, scrape_timeout: {scrape_seconds}s}}\n"
        + prometheus_snippet(catalogue, write_url)
        + f"  - job_name: node\n    static_configs: [{{targets: ['{exporter}'], labels: {{node: {node!r}}}}}]\n",
        encoding="utf-8",
    )
    port = free_port()
    command = [
        program("prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running("Prometheus", command, folder / "prometheus.log") as server:
        server.await_ok(f"http://127.0.0.1:{port}/-/ready")
        yield server
