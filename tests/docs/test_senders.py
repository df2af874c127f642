"""What the pages tell senders and rules to be, given to real ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from receiver import catalogue, promql
from receiver.cli.processes import free_port
from tests.docs.conftest import Shell
from tests.docs.pages import DOCS, PAGES, block_with, blocks
from tests.e2e.chain import Receiver, configuration
from tests.e2e.test_vmagent import VmAgent
from tests.servers import places
from tests.servers.nodescore import Nodescore
from tests.servers.process import Process, Runner, wait_until
from tests.servers.prometheus import NodeExporter, Prometheus, answers

QUERIES = [block for page in PAGES for block in blocks(page) if block.language == "promql"]
WITH_TLS = ("web-config.md", "authorization:")
NODE = "machine"


@pytest.mark.real("promtool")
def test_prometheus_takes_every_piece_of_its_configuration(tmp_path: Path) -> None:
    document = yaml.safe_load(promql.prometheus_snippet(catalogue.load()))
    document |= yaml.safe_load(block_with("connect.md", "rule_files").text)
    document |= yaml.safe_load(block_with("high-availability.md", "external_labels").text)
    document["remote_write"] += yaml.safe_load(block_with(*WITH_TLS).text)["remote_write"]
    document["remote_write"][0] |= yaml.safe_load(block_with("high-availability.md", "hashmod").text)
    relabel = yaml.safe_load(block_with("connect.md", "relabel_configs:\n").text)
    document["scrape_configs"] += [{"job_name": "node", "kubernetes_sd_configs": [{"role": "pod"}], **relabel}]
    (tmp_path / "alerts.yaml").write_bytes((DOCS.parent / "manifests/prometheus/alerts.yaml").read_bytes())
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    check = [places.path_of("promtool"), "check", "config", "--syntax-only", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.real("vmagent", "node_exporter")
def test_vmagent_sends_what_is_wanted_and_nothing_else(run_server: Runner, shell: Shell, tmp_path: Path) -> None:
    exporter, nodescore = run_server(NodeExporter(tmp_path)), run_server(Nodescore(tmp_path))
    assert shell(block_with("connect.md", "nodescore-relabel.yml\ncat").text, tmp_path).returncode == 0
    job = {"job_name": "node", "static_configs": [{"targets": [exporter.address], "labels": {"node": NODE}}]}
    scrape = yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]})
    flags = [f"-remoteWrite.urlRelabelConfig={tmp_path / 'nodescore-relabel.yml'}"]
    run_server(VmAgent(scrape, f"{nodescore.url}/api/v1/write", tmp_path, flags))
    wait_until(lambda: f'node="{NODE}"' in nodescore.metrics(), "a score of the node")
    assert "nodescore_samples_unwanted_total 0.0" in nodescore.metrics()


class Agent(Process):
    """A Prometheus that scrapes and sends, started as the page says."""

    def __init__(self, config: str, folder: Path) -> None:
        (folder / "prometheus.yml").write_text(config, encoding="utf-8")
        words = block_with("connect.md", "--agent").text.split()
        files = {"prometheus.yml": folder / "prometheus.yml", "agent-data": folder / "agent-data"}
        parts = [word.partition("=") for word in words]
        argv = [f"{flag}={files[value]}" if value in files else flag for flag, _, value in parts]
        address = f"127.0.0.1:{free_port()}"
        super().__init__(
            "agent",
            [places.path_of("prometheus"), *argv[1:], f"--web.listen-address={address}"],
            folder / "agent.log",
            lambda: answers(f"http://{address}/-/ready"),
        )


@pytest.mark.real("prometheus", "node_exporter")
def test_behind_an_agent_the_server_that_it_sends_to_answers_every_query_of_the_pages(
    run_server: Runner, tmp_path: Path
) -> None:
    exporter, nodescore = run_server(NodeExporter(tmp_path)), run_server(Nodescore(tmp_path))
    server = run_server(Prometheus("", tmp_path, "server", ["--web.enable-remote-write-receiver"]))
    document = yaml.safe_load(configuration({NODE: exporter.address}, [Receiver(nodescore.address, "v2")]))
    del document["rule_files"]
    keep = {"source_labels": ["__name__"], "regex": "anomaly_.*", "action": "keep"}
    document["remote_write"] += [{"url": f"{server.url}/api/v1/write", "write_relabel_configs": [keep]}]
    run_server(Agent(yaml.safe_dump(document), tmp_path))
    found = wait_until(lambda: server.query("anomaly_score"), "scores on the server")
    assert {labels["node"] for labels, _ in found} == {NODE}
    for block in QUERIES:
        server.query(block.text)
