"""A real Prometheus that writes and scrapes over TLS, each with credentials that may do just that."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.e2e.chain import Receiver, configuration
from tests.servers.certificates import Authority, serial
from tests.servers.nodescore import SOURCE, Nodescore
from tests.servers.process import Runner, wait_until
from tests.servers.prometheus import NodeExporter, Prometheus, fetch
from tests.web.guarded import HASH, PASSWORD
from tests.wire.requests import body, series

TOKEN = "0123456789abcdef0123456789abcdef"
WEB_CONFIG = f"""
tls_server_config: {{cert_file: server.crt, key_file: server.key}}
basic_auth_users: {{sender: "{HASH}"}}
nodescore:
  bearer_tokens: {{scraper: {{environment: SCRAPER_TOKEN}}}}
  permissions: {{users: {{sender: [write]}}, tokens: {{scraper: [look]}}}}
"""


class Guarded(Nodescore):
    """The service over TLS, with a token for what it is asked here."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        (folder / "web.yml").write_text(WEB_CONFIG)
        environment = {"SCRAPER_TOKEN": TOKEN}
        super().__init__(folder, [f"--web-config={folder / 'web.yml'}"], environment=environment)
        self.url = f"https://{self.address}"
        self._tls = ssl.create_default_context(cafile=authority.own.file)
        self.ready = lambda: self._get("/-/ready")

    def metrics(self) -> str:
        return self._get("/metrics", Authorization=f"Bearer {TOKEN}")

    def _get(self, path: str, **headers: str) -> str:
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, context=self._tls) as answer:
            return str(answer.read().decode())


def secured(prometheus_yml: str, ca: Path) -> str:
    """The configuration with TLS and credentials for both ways."""
    document = yaml.safe_load(prometheus_yml)
    tls: dict[str, Any] = {"scheme": "https", "tls_config": {"ca_file": str(ca)}}
    (write,), (_, scrape) = document["remote_write"], document["scrape_configs"]
    write.update(tls_config=tls["tls_config"], basic_auth={"username": "sender", "password": PASSWORD})
    write["url"] = write["url"].replace("http://", "https://")
    scrape.update(tls, authorization={"credentials": TOKEN})
    return yaml.safe_dump(document)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who signs the service's certificate."""
    authority = Authority(tmp_path)
    authority.certificate("server", "IP:127.0.0.1")
    return authority


@pytest.fixture
def nodescore(run_server: Runner, authority: Authority, tmp_path: Path) -> Nodescore:
    """The service, running."""
    return run_server(Guarded(tmp_path, authority))


@pytest.mark.real("prometheus", "node_exporter", "openssl")
def test_prometheus_writes_and_scrapes_over_tls_with_credentials_and_through_a_renewal(
    run_server: Runner, nodescore: Nodescore, authority: Authority, tmp_path: Path
) -> None:
    exporter = run_server(NodeExporter(tmp_path))
    plain = configuration({"machine": exporter.address}, [Receiver(nodescore.address, "v2")])
    prometheus = run_server(Prometheus(secured(plain, authority.own.file), tmp_path))

    def scores() -> int:
        return sum(len(samples) for _, samples in prometheus.samples('anomaly_score{node="machine"}'))

    wait_until(lambda: scores() > 0, "scores in Prometheus")
    authority.certificate("server", "IP:127.0.0.1")
    os.kill(nodescore.pid, signal.SIGHUP)
    wait_until(lambda: "web configuration: TLS, 1 user, 1 bearer token, permissions" in nodescore.tail(), "the renewal")
    before = scores()
    wait_until(lambda: scores() > before + 3, "scores after the renewal")

    own = fetch(f"{prometheus.url}/metrics")[1].decode()
    failed = r"^prometheus_remote_storage_samples_(?:failed|retried)_total\{.*\} (\S+)$"
    assert {float(value) for value in re.findall(failed, own, re.MULTILINE)} == {0.0}
    refused = re.findall(r"^nodescore_access_refused_total\{.*\} (\S+)$", nodescore.metrics(), re.MULTILINE)
    assert set(refused) == {"0.0"}
    assert not any(secret in nodescore.log.read_text() for secret in (PASSWORD, TOKEN, HASH))


@pytest.mark.real("openssl")
def test_a_certificate_is_renewed_twice_while_many_write_and_scrape_and_none_fails(
    nodescore: Nodescore, authority: Authority
) -> None:
    tls = ssl.create_default_context(cafile=authority.own.file)
    done = threading.Event()

    def ask(client: httpx.Client, number: int) -> tuple[str, int]:
        if number % 2:
            return "scrape", client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code
        message = body(1, [series("node_load1", float(number), time.time_ns() // 1_000_000)])
        return "write", client.post("/api/v1/write", content=message, auth=("sender", PASSWORD)).status_code

    def load(stays: bool) -> Counter[tuple[str, int]]:
        """Ask one after the other, over one connection or each time over a new one."""
        answers: Counter[tuple[str, int]] = Counter()
        while not done.is_set():
            with httpx.Client(base_url=nodescore.url, verify=tls, timeout=30) as client:
                answers[ask(client, answers.total())] += 1
                while stays and not done.is_set():
                    answers[ask(client, answers.total())] += 1
        return answers

    host, _, port = nodescore.address.partition(":")
    with ThreadPoolExecutor(6) as pool:
        loads = [pool.submit(load, stays) for stays in (True, True, True, True, False, False)]
        try:
            seen = [serial((host, int(port)), tls)]
            for by_signal in (False, True):  # the first one, the service finds by itself
                authority.certificate("server", "IP:127.0.0.1")
                if by_signal:
                    os.kill(nodescore.pid, signal.SIGHUP)
                wait_until(lambda: serial((host, int(port)), tls) not in seen, "the new certificate")
                seen.append(serial((host, int(port)), tls))
        finally:
            done.set()
        answers = sum((load.result() for load in loads), Counter[tuple[str, int]]())
    assert len(set(seen)) == 3
    assert set(answers) == {("write", 204), ("scrape", 200)}
    counted = re.search(
        r'^nodescore_requests_total\{code="204",version="v1"\} (\S+)$', nodescore.metrics(), re.MULTILINE
    )
    assert counted is not None
    assert float(counted[1]) == answers["write", 204] > 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "web.yml: No such file or directory"),
        ("basic_auth_users: {ann: hunter2}", "web.yml: basic_auth_users: user ann: not a bcrypt hash;"),
        ("tls_server_config: {cert_file: a, key_file: a}", "a: No such file or directory"),
    ],
)
def test_a_service_does_not_start_with_a_web_configuration_that_cannot_be_used(
    tmp_path: Path, text: str | None, said: str
) -> None:
    file = tmp_path / "web.yml"
    if text is not None:
        file.write_text(text)
    line = [sys.executable, "-m", "receiver", "serve", "--listen=127.0.0.1:0", f"--data-dir={tmp_path / 'data'}"]
    done = subprocess.run(
        [*line, f"--web-config={file}"], cwd=SOURCE, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, said in done.stderr, "hunter2" in done.stderr) == (2, True, False)
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()
