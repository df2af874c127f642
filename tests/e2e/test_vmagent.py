"""vmagent, the other sender that users run, which first tries a compression that remote write does not define."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from receiver.cli.processes import free_port
from tests.servers import places
from tests.servers.nodescore import Nodescore
from tests.servers.process import Process, Runner, wait_until
from tests.servers.prometheus import NodeExporter, answers


class VmAgent(Process):
    """Scrapes and sends, keeps nothing."""

    def __init__(self, config: str, url: str, folder: Path, flags: Sequence[str] = ()) -> None:
        address = f"127.0.0.1:{free_port()}"
        path = folder / "vmagent.yml"
        path.write_text(config, encoding="utf-8")
        super().__init__(
            "vmagent",
            [
                places.path_of("vmagent"),
                f"-promscrape.config={path}",
                f"-remoteWrite.url={url}",
                f"-remoteWrite.tmpDataPath={folder / 'vmagent'}",
                "-remoteWrite.flushInterval=1s",
                f"-httpListenAddr={address}",
                *flags,
            ],
            folder / "vmagent.log",
            lambda: answers(f"http://{address}/health"),
        )


@pytest.mark.real("vmagent", "node_exporter")
def test_vmagent_falls_back_to_what_is_accepted_and_its_node_is_scored(run_server: Runner, tmp_path: Path) -> None:
    exporter = run_server(NodeExporter(tmp_path))
    nodescore = run_server(Nodescore(tmp_path))
    scrape = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {"job_name": "node", "static_configs": [{"targets": [exporter.address], "labels": {"node": "machine"}}]}
        ],
    }
    run_server(VmAgent(yaml.safe_dump(scrape), f"{nodescore.url}/api/v1/write", tmp_path))
    wait_until(lambda: 'node="machine"' in nodescore.metrics(), "a score of the node")
    counts = re.findall(r'nodescore_requests_total\{code="(\d+)".*\} (\S+)', nodescore.metrics())
    assert {int(code) for code, count in counts if float(count)} == {415, 204}
