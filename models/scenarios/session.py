"""A session: nodes at work, attacked as planned, recorded through the whole pipeline.

In: a `Plan`, a folder, a `Level`. Out: `session-SEED.parquet` and its episodes in the folder, made by a real
node_exporter in each node, Prometheus, `nodescore serve`, labels in its store, and `nodescore export --inputs`. Needs
root, and what `needed` names. Raises `ConfigurationError` where a tool is missing, `DataError` where the session is
there already, `Unavailable` where a server does not start; one that dies later ends the session early.
Takes the plan's time and about a minute.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from models.scenarios import dataset, node
from models.scenarios.at_work import EXPORTER, at_work, busy, exporter_of, start_quietly
from models.scenarios.attacks import Kind
from models.scenarios.dataset import Attacked
from models.scenarios.level import NODES, Level
from models.scenarios.plan import Episode, Plan
from models.scenarios.record import save
from models.scenarios.record import sink as requests_sink
from receiver import catalogue
from receiver.catalogue import Catalogue
from receiver.cli.processes import Running, free_port, program, running
from receiver.cli.stores import reading
from receiver.columns import NodeName
from receiver.errors import DataError, Unavailable
from receiver.promql import prometheus_snippet
from receiver.settings import load as load_settings
from receiver.settings import shipped_catalogue
from receiver.store import Label

SCRAPE_SECONDS = 5
LAST_ROW_SECONDS = 12.0  # until a row of the last scrape has been assembled and stored
FIRST_ROW_SECONDS = 40.0
CHECK_SECONDS = 2.0
ENDED_STATUSES = (0, 124, 137)  # by itself, by timeout(1), by timeout's kill
AUTHOR = "nodescore scenario"
COMMANDS_OF_WORK = ("nginx", "sqlite3", "gcc", "ld", "dpkg-deb", "curl", "timeout", "awk")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Servers:
    """What must live as long as the session."""

    running: tuple[Running, ...]
    config: Path  # of Nodescore
    url: str


def needed(level: Level = NODES) -> tuple[str, ...]:
    """Programs that a session runs, beside node_exporter and the level's services."""
    tools = {tool for kind in level.kinds.values() for tool in kind.tools}
    return ("prometheus", *node.NEEDED, *COMMANDS_OF_WORK, *sorted(tools))


def record(plan: Plan, folder: Path, say: Say, recording: Path | None = None, level: Level = NODES) -> Path:
    """Carry out a plan; the path of the session's table.

    With `recording`, what Prometheus sends is kept in that file too, in the form of `receiver.cli.recording`, the
    episodes as its events.
    """
    program(*EXPORTER)
    for name in needed(level):
        program(name)
    if (folder / f"session-{plan.seed}.parquet").exists():
        raise DataError(f"{folder} has a session {plan.seed}; take another seed")
    with tempfile.TemporaryDirectory(prefix="nodescore-scenario-") as name, ExitStack() as stack:
        place = Path(name)
        cluster = stack.enter_context(node.cluster(plan.nodes, place))
        sink_url, requests = stack.enter_context(requests_sink())
        to_sink = sink_url if recording else None
        servers = stack.enter_context(_servers(cluster, level, place, plan.seed, to_sink))
        stack.enter_context(busy(cluster, plan.seed, level))
        found = _attack(plan, cluster, level, servers, say)
        time.sleep(LAST_ROW_SECONDS)
        if recording is not None:
            save(recording, requests, _events(found))
        _label(servers.config, level, found)
        exported = place / "exported.parquet"
        command = [sys.executable, "-m", "receiver", "export", str(exported), "--inputs"]
        subprocess.run([*command, f"--config={servers.config}"], check=True)  # noqa: S603 - our own command
        return dataset.write(exported, found, folder, plan.seed)


@contextmanager
def _servers(cluster: node.Cluster, level: Level, place: Path, seed: int, sink_url: str | None) -> Iterator[Servers]:
    """What nodes at work need, and Nodescore and Prometheus on the machine."""
    with ExitStack() as stack:
        alive = stack.enter_context(at_work(cluster, place, seed, level))
        url = f"http://127.0.0.1:{free_port()}"
        config = place / "nodescore.toml"
        config.write_text(
            f'catalogue = "{level.catalogue}"\ndata_dir = "{place / "nodescore-data"}"\n', encoding="utf-8"
        )
        serve = [sys.executable, "-m", "receiver", "serve", "--listen", url.removeprefix("http://")]
        nodescore = stack.enter_context(
            running("nodescore", [*serve, "--config", str(config)], place / "nodescore.log")
        )
        nodescore.await_ok(f"{url}/-/ready")
        scraping = _prometheus(cluster, level, place, f"{url}/api/v1/write", sink_url)
        prometheus = stack.enter_context(running("prometheus", scraping, place / "prometheus.log"))
        servers = Servers((*alive, nodescore, prometheus), config, url)
        _await_rows(servers, len(cluster.nodes))
        yield servers


def _catalogue(level: Level) -> Catalogue:
    return catalogue.load(shipped_catalogue(level.catalogue))


def _prometheus(cluster: node.Cluster, level: Level, place: Path, write_url: str, sink_url: str | None) -> list[str]:
    snippet = prometheus_snippet(_catalogue(level), write_url)
    if sink_url is not None:
        (_, entry) = prometheus_snippet(_catalogue(level), sink_url).split("remote_write:\n")
        entry = entry[: entry.index("scrape_configs:")].replace("name: nodescore", "name: recording")
        snippet = snippet.replace("remote_write:\n", f"remote_write:\n{entry}")
    targets = "".join(
        f"      - targets: ['{address}']\n        labels: {{{level.label}: {one.name!r}}}\n"
        for one in cluster.nodes
        for address in (exporter_of(one), *(service.scraped for service in level.services(one) if service.scraped))
    )
    rules = place / "rules.yml"
    recorded = [{"record": name, "expr": expression} for name, expression in level.rules.items()]
    rules.write_text(json.dumps({"groups": [{"name": level.label, "rules": recorded}]}), encoding="utf-8")
    every = f"{SCRAPE_SECONDS}s"
    configuration = place / "prometheus.yml"
    configuration.write_text(
        f"global: {{scrape_interval: {every}, scrape_timeout: {every}, evaluation_interval: {every}}}\n"
        f"rule_files: ['{rules}']\n" + snippet + f"  - job_name: node\n    static_configs:\n{targets}",
        encoding="utf-8",
    )
    storage = f"--storage.tsdb.path={place / 'prometheus'}"
    listen = f"--web.listen-address=127.0.0.1:{free_port()}"
    return [program("prometheus"), f"--config.file={configuration}", storage, listen]


def _await_rows(servers: Servers, count: int) -> None:
    """Until the service knows every node: labels need that, and the session begins with it."""
    give_up = time.monotonic() + FIRST_ROW_SECONDS
    while True:
        for server in servers.running:
            server.check()
        with urllib.request.urlopen(f"{servers.url}/api/v1/nodes", timeout=10) as answer:  # noqa: S310 - our own
            if len(json.load(answer)["nodes"]) == count:
                return
        if time.monotonic() > give_up:
            raise Unavailable(f"not every node has sent a row within {FIRST_ROW_SECONDS:.0f} s")
        time.sleep(CHECK_SECONDS)


def _attack(plan: Plan, cluster: node.Cluster, level: Level, servers: Servers, say: Say) -> list[Attacked]:
    """Start each episode at its time and wait for the end of the session; the episodes as they were."""
    began = time.monotonic()
    found: list[Attacked] = []
    threads: list[threading.Thread] = []
    nodes = {one.name: one for one in cluster.nodes}

    def until(seconds: float) -> None:
        while (left := began + seconds - time.monotonic()) > 0:
            for server in servers.running:
                server.check()
            time.sleep(min(CHECK_SECONDS, left))

    try:
        for episode in plan.episodes:
            until(episode.start_seconds)
            say(f"{_clock()} {episode.node}: {episode.kind} {episode.strength:g}, {episode.seconds} s")
            kind = level.kinds[episode.kind]
            arguments = (episode, kind, nodes[episode.node], cluster.attacker, plan.seed, found, say)
            threads.append(threading.Thread(target=_carry_out, args=arguments))
            threads[-1].start()
        until(plan.seconds)
    except Unavailable as error:
        say(f"{_clock()} ends early, with what was recorded so far: {error}")
    finally:
        for thread in threads:
            thread.join()  # each is bounded by its commands
    return found


def _carry_out(
    episode: Episode, kind: Kind, one: node.Node, attacker: node.Outside, seed: int, found: list[Attacked], say: Say
) -> None:
    """Run an episode's commands side by side, and note when they began and ended."""
    commands = kind.commands(one, attacker, episode.strength, episode.seconds)
    start_ms = time.time_ns() // 1_000_000
    statuses = [under_way.wait() for under_way in [start_quietly(command) for command in commands]]
    failed = [status for status in statuses if status not in ENDED_STATUSES]
    if failed:
        say(f"{_clock()} {episode.node}: {episode.kind} failed with status {failed}: no episode of this session")
        return
    found.append(Attacked(episode.node, episode.kind, episode.strength, start_ms, time.time_ns() // 1_000_000, seed))


def _label(config: Path, level: Level, found: Sequence[Attacked]) -> None:
    """Mark the episodes in the service's store, as `nodescore label` does."""
    with reading(load_settings({}, config), _catalogue(level)) as store:
        for one in found:
            store.add_label(
                Label(
                    name=NodeName("", one.node),
                    start_ms=one.start_ms,
                    end_ms=one.end_ms,
                    attack=True,
                    verdict=None,
                    details=f"{one.kind}, strength {one.strength:g} ({level.kinds[one.kind].unit}), seed {one.seed}",
                    author=AUTHOR,
                    created_ms=one.end_ms,
                )
            )


def _events(found: Sequence[Attacked]) -> list[tuple[int, str]]:
    events = [(one.start_ms, f"{one.node}: {one.kind} begins") for one in found]
    return sorted([*events, *((one.end_ms, f"{one.node}: {one.kind} ends") for one in found)])


def _clock() -> str:
    return f"{datetime.now(UTC):%H:%M:%S}"
