"""Nodes with a network of their own: network namespaces on one bridge, each with an `eth0`.

Traffic on loopback moves none of the network features, so a node that shall be attacked over the network is a
namespace with a node_exporter in it, and its attacker is another one. The host end of the bridge has the first
address, so that a Prometheus on the machine can scrape the nodes. CPU, memory and disk stay the machine's.
Root only. Everything that was made is taken down at the end; traffic stays inside 10.77.0.0/16.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import places
from tests.servers.process import Process
from tests.servers.prometheus import EXPORTER_FLAGS, answers

HOST_ADDRESS = 1
FIRST_NODE_ADDRESS = 11
EXPORTER_PORT = 9100


@dataclass(frozen=True)
class Host:
    """A namespace and its address."""

    namespace: str
    address: str

    def argv(self, *command: str) -> list[str]:
        """`command`, to be run inside."""
        return [places.path_of("ip"), "netns", "exec", self.namespace, *command]


@dataclass
class Network:
    """One bridge and the hosts on it."""

    prefix: str
    subnet: str  # the first three bytes
    hosts: list[Host] = field(default_factory=list)

    @property
    def bridge(self) -> str:
        """The bridge on the machine; its name and those of its ports are of the kinds that features leave out."""
        return f"cni{self.prefix}"

    @property
    def host_address(self) -> str:
        """The machine's own address on the bridge."""
        return f"{self.subnet}.{HOST_ADDRESS}"

    def add_host(self) -> Host:
        """A new namespace with `lo` and an `eth0` on the bridge."""
        number = len(self.hosts)
        host = Host(f"{self.prefix}n{number}", f"{self.subnet}.{FIRST_NODE_ADDRESS + number}")
        ip("netns", "add", host.namespace)
        self.hosts.append(host)
        ip("-n", host.namespace, "link", "set", "lo", "up")
        self.plug(host)
        return host

    def plug(self, host: Host) -> None:
        """Give `host` an `eth0` on the bridge, all of whose counters are 0."""
        outer = f"veth{self.prefix}n{self.hosts.index(host)}"
        # Born in the namespace: its name never meets the machine's own eth0.
        ip("link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
        ip("link", "set", outer, "master", self.bridge, "up")
        ip("-n", host.namespace, "address", "add", f"{host.address}/24", "dev", "eth0")
        ip("-n", host.namespace, "link", "set", "eth0", "up")

    def node_exporter(self, host: Host, folder: Path, flags: Sequence[str] = ()) -> Process:
        """A node_exporter inside `host`, not yet started; Prometheus reaches it on `host.address`:9100."""
        listen = f"{host.address}:{EXPORTER_PORT}"
        return Process(
            f"node_exporter-{host.namespace}",
            host.argv(places.path_of("node_exporter"), f"--web.listen-address={listen}", *EXPORTER_FLAGS, *flags),
            folder / f"node_exporter-{host.namespace}.log",
            lambda: answers(f"http://{listen}/metrics"),
        )


@contextmanager
def network() -> Iterator[Network]:
    """An empty network, taken down with all its hosts at the end."""
    with places.lock_file("netns").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel gives one address to two bridges
        used = ip("-4", "-oneline", "address")
        subnet = next(name for name in (f"10.77.{number}" for number in range(256)) if f" {name}." not in used)
        net = Network(f"ns{os.getpid()}", subnet)
        ip("link", "add", net.bridge, "type", "bridge")
        ip("address", "add", f"{net.host_address}/24", "dev", net.bridge)
    try:
        ip("link", "set", net.bridge, "up")
        yield net
    finally:
        for host in net.hosts:
            with suppress(RuntimeError):
                ip("netns", "delete", host.namespace)  # and with it the pair of interfaces
        ip("link", "delete", net.bridge)


def ip(*arguments: str) -> str:
    """Run `ip`; its output, or RuntimeError with its complaint."""
    done = subprocess.run([places.path_of("ip"), *arguments], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout
