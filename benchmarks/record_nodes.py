"""Record real nodes at work, through the whole pipeline: `python -m benchmarks.record_nodes FOLDER --minutes 30`.

In: root on Linux, the real servers that `make servers` gets. Out: FOLDER/nodescore-data, the data folder of the
service that received it all, with every attack labelled in it; `nodescore export --inputs` makes a table of it.

Four nodes are network namespaces with an `eth0` and a node_exporter each, one is the machine itself; CPU, memory and
disk are the machine's for all of them. Their work: a web server, its visitors, downloads, archives made now and
then. With --attacks some of the time is spent on attacks, each bounded, all between these namespaces. With
--recording FILE what Prometheus sends is kept too, attacks as events, in the form of `nodescore replay` and `demo`.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from models.scenarios.record import save, sink
from receiver import catalogue, promql
from tests.servers import places
from tests.servers.netns import EXPORTER_PORT, Host, network
from tests.servers.nodescore import Nodescore
from tests.servers.process import P, Process, wait_until
from tests.servers.prometheus import NodeExporter, Prometheus, answers

SCRAPE_SECONDS = {"quick": 2, "usual": 10}
WEB_PORT = 8000
ON_THE_NETWORK = ("port scan", "application denial of service")
KINDS = ("cpu stress", "cryptojacking", "crash loop", *ON_THE_NETWORK)
QUIET_SECONDS = 120  # between attacks, for a node to come back to itself


@dataclass(frozen=True)
class Attack:
    """What somebody does to a node, for a bounded time."""

    kind: str
    argv: Sequence[str]
    seconds: int


def visit(client: Host, server: Host, folder: Path, stop: threading.Event, seed: int) -> None:
    """Fetch pages at a changing pace, and now and then a large file."""
    chance = random.Random(seed)
    while not stop.wait(chance.expovariate(chance.choice((1, 2, 5)))):
        name = "large" if chance.random() < 0.02 else "page"
        url = f"http://{server.address}:{WEB_PORT}/{name}"
        subprocess.run(client.argv("curl", "-s", "--limit-rate", "8M", "-o", "/dev/null", url), check=False, cwd=folder)


def archive(folder: Path, stop: threading.Event, seed: int) -> None:
    """Pack some files every one to three minutes, as a back-up or a build would."""
    chance = random.Random(seed)
    while not stop.wait(chance.uniform(60, 180)):
        parts = chance.sample(["/usr/share/doc", "/usr/include", "/usr/lib/python3", "/usr/share/man"], 1)
        subprocess.run(
            ["tar", "czf", str(folder / "archive.tgz"), *parts], check=False, stderr=subprocess.DEVNULL, cwd="/"
        )


def attacks(server: Host, attacker: Host) -> list[tuple[Host, Attack]]:
    """One of each kind that needs nothing but Debian's packages: where it shows, and what it is."""
    scan = ["nmap", "-sS", "-Pn", "-p1-20000", "--max-rate", "2000", "--host-timeout", "60s", server.address]
    fill = "import urllib.request as r,time;e=time.time()+60\nwhile time.time()<e: r.urlopen('http://{}/page').read()"
    flood = [sys.executable, "-c", fill.format(f"{server.address}:{WEB_PORT}")]
    crash = "import subprocess,time;e=time.time()+60\nwhile time.time()<e: subprocess.run(['false']);time.sleep(0.01)"
    return [
        (server, Attack("cpu stress", ["stress-ng", "--cpu", "0", "--timeout", "60"], 60)),
        (server, Attack("cryptojacking", ["stress-ng", "--cpu", "1", "--timeout", "120"], 120)),
        (server, Attack("port scan", attacker.argv(*scan), 60)),
        (server, Attack("application denial of service", attacker.argv(*flood), 60)),
        (server, Attack("crash loop", [sys.executable, "-c", crash], 60)),
    ]


def label(service: Nodescore, node: str, kind: str, start: float, end: float) -> None:
    """Mark an interval as an attack."""
    times = [datetime.fromtimestamp(at, UTC).isoformat() for at in (start, end)]
    subprocess.run(
        [sys.executable, "-m", "receiver", "label", f"--node={node}", f"--start={times[0]}", f"--end={times[1]}",
         "--attack", f"--details={kind}", "--author=benchmarks.record_nodes", f"--data-dir={service.data_dir}"],
        check=True,
    )  # fmt: skip


def configuration(targets: dict[str, dict[str, str]], urls: Sequence[str]) -> str:
    """prometheus.yml: nodes by pace and name, sent to all receivers as the shipped snippet says."""
    snippet = yaml.safe_load(promql.prometheus_snippet(catalogue.load(), urls[0]))
    (first,) = snippet["remote_write"]
    snippet["remote_write"] = [{**first, "url": url, "name": f"receiver-{i}"} for i, url in enumerate(urls)]
    snippet["global"] = {"scrape_interval": "10s"}
    snippet["scrape_configs"] = [
        {
            "job_name": pace,
            "scrape_interval": f"{SCRAPE_SECONDS[pace]}s",
            "static_configs": [{"targets": [address], "labels": {"node": name}} for name, address in nodes.items()],
        }
        for pace, nodes in targets.items()
    ]
    return yaml.safe_dump(snippet)


def attack_all(
    planned: Sequence[tuple[Host, Attack]], hosts: Sequence[Host], service: Nodescore, stop: threading.Event
) -> list[tuple[int, str]]:
    """Carry out attacks one after the other, each labelled; when each began and ended."""
    events: list[tuple[int, str]] = []
    for shown_on, attack in planned:
        stop.wait(QUIET_SECONDS)
        began = time.time()
        subprocess.run(attack.argv, check=False, timeout=attack.seconds + 60, stdout=subprocess.DEVNULL)
        ended = time.time()
        # The namespaces have interfaces of their own, and the CPUs of one machine.
        everyone = [*(f"node-{i}" for i in range(len(hosts))), "machine"]
        for node in [f"node-{hosts.index(shown_on)}"] if attack.kind in ON_THE_NETWORK else everyone:
            label(service, node, attack.kind, began, ended)
        events += [(int(began * 1000), f"{attack.kind} begins"), (int(ended * 1000), f"{attack.kind} ends")]
        print(f"{datetime.now(UTC):%H:%M:%S} {attack.kind}: {ended - began:.0f} s", flush=True)
    return events


def record(
    folder: Path, minutes: float, kinds: Sequence[str], model: Path | None, recording: Path | None, seed: int
) -> None:
    """Record until the time is over, with attacks of these kinds."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "page").write_bytes(random.Random(seed).randbytes(20_000))
    (folder / "large").write_bytes(random.Random(seed).randbytes(20_000_000))
    stop = threading.Event()
    with ExitStack() as stack:

        def running(process: P) -> P:
            process.start()
            stack.callback(process.stop)
            return process

        net = stack.enter_context(network())
        hosts = [net.add_host() for _ in range(4)]
        for host in hosts:
            running(net.node_exporter(host, folder))
        web = f"http://{hosts[0].address}:{WEB_PORT}/page"
        serve = [sys.executable, "-m", "http.server", str(WEB_PORT), f"--directory={folder}"]
        running(Process("web", hosts[0].argv(*serve), folder / "web.log", lambda: answers(web)))
        service = running(Nodescore(folder, [f"--model={model}"] if model else []))
        sink_url, requests = stack.enter_context(sink())
        named = {f"node-{i}": f"{host.address}:{EXPORTER_PORT}" for i, host in enumerate(hosts)}
        usual = {"node-3": named.pop("node-3"), "machine": running(NodeExporter(folder)).address}
        urls = [f"{service.url}/api/v1/write", *([] if recording is None else [sink_url])]
        running(Prometheus(configuration({"quick": named, "usual": usual}, urls), folder))

        work: list[Callable[[], None]] = [
            lambda: visit(hosts[1], hosts[0], folder, stop, seed),
            lambda: visit(hosts[2], hosts[0], folder, stop, seed + 1),
            lambda: archive(folder, stop, seed + 2),
        ]
        threads = [threading.Thread(target=one, daemon=True) for one in work]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 60 * minutes
        planned = [(host, attack) for host, attack in attacks(hosts[0], hosts[3]) if attack.kind in kinds]
        events = attack_all(planned, hosts, service, stop)
        stop.wait(max(0.0, end - time.monotonic()))
        stop.set()
        for thread in threads:
            thread.join()
        wait_until(lambda: "anomaly_score{" in service.metrics(), "a score")
        if recording is not None:
            save(recording, requests, events)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--attacks", nargs="*", choices=KINDS, help="spend some of the time on these kinds, or on all")
    parser.add_argument("--recording", type=Path, help="keep what Prometheus sends, as JSON lines, gzipped")
    parser.add_argument("--model", type=Path, help="score with this model while recording")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for name in ("prometheus", "node_exporter", "netns", "stress-ng", "nmap"):
        place = places.find(name)
        if isinstance(place, places.Missing):
            sys.exit(f"record_nodes: {place.why}")
    kinds = KINDS if given.attacks == [] else given.attacks or ()
    record(given.folder, given.minutes, kinds, given.model, given.recording, given.seed)


if __name__ == "__main__":
    main()
