"""The catalogue's format, its faults, and that nothing about the 24 features is in code."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver import catalogue
from receiver.columns import NodeName
from receiver.errors import CatalogueError

MINIMAL = """
name = "pod"
[entity]
cluster = []
node = ["pod"]
target = ["namespace"]
[[feature]]
name = "memory"
help = "Memory"
unit = "bytes"
kind = "gauge"
source = [{ metric = "container_memory_bytes" }]
"""


def test_the_24_features_are_those_of_the_paper_in_its_order() -> None:
    assert catalogue.load().feature_names == (
        "cpu_sec_idle",
        "disk_av_per",
        "disk_read",
        "disk_write",
        "net_receive",
        "mem_pressure",
        "mem_av_per",
        "forks_total",
        "intr",
        "load1",
        "load5",
        "load15",
        "receive_drop",
        "receive_errs",
        "transmit_packets",
        "tcp_sock_alloc",
        "tcp_sock_inuse",
        "tcp_sock_mem",
        "udp_sock_inuse",
        "udp_sock_mem",
        "ipv4_sock_inuse",
        "est_conn",
        "lis_conn",
        "open_fds",
    )


@pytest.mark.parametrize(
    "device", ["lo", "veth0a1", "cali1", "cni0", "docker0", "flannel.1", "lxcbr0", "eni1", "azv1", "ifb0"]
)
def test_virtual_interfaces_are_left_out(device: str) -> None:
    assert catalogue.load().term_of({"__name__": "node_network_receive_bytes_total", "device": device}) is None


@pytest.mark.parametrize("device", ["eth0", "ens5", "enp0s3", "bond0", "wlan0", "localnet"])
def test_physical_interfaces_are_kept(device: str) -> None:
    assert catalogue.load().term_of({"__name__": "node_network_receive_bytes_total", "device": device}) is not None


@pytest.mark.parametrize(
    "device", ["dm-0", "md127", "sr0", "loop3", "ram1", "zram0", "sda1", "xvda2", "vdb3", "nvme0n1p1", "mmcblk0p2"]
)
def test_partitions_and_volumes_are_left_out(device: str) -> None:
    assert catalogue.load().term_of({"__name__": "node_disk_read_bytes_total", "device": device}) is None


@pytest.mark.parametrize("device", ["sda", "xvda", "vdb", "nvme0n1", "mmcblk0"])
def test_whole_disks_are_kept(device: str) -> None:
    assert catalogue.load().term_of({"__name__": "node_disk_read_bytes_total", "device": device}) is not None


def test_the_first_label_that_is_set_names_the_node() -> None:
    labels = {"instance": "10.0.0.1:9100", "node": "", "nodename": "worker-1", "cluster": "prod"}
    assert catalogue.load().entity_of(labels) == NodeName("prod", "worker-1")


def test_a_series_that_names_no_node_has_no_entity() -> None:
    assert catalogue.load().entity_of({"job": "node"}) is None


def test_settings_override_the_variables() -> None:
    labels = {"__name__": "node_filesystem_avail_bytes", "mountpoint": "/host"}
    assert catalogue.load().term_of(labels) is None
    assert catalogue.load(variables={"root_mountpoint": "/host"}).term_of(labels) is not None


def test_a_minimal_catalogue_is_read() -> None:
    pods = catalogue.parse(MINIMAL, "pods.toml")
    assert (pods.name, pods.feature_names) == ("pod", ("memory",))


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('name = "pod"', "name = ", "not TOML"),
        ('kind = "gauge"', 'kind = "rate"', "feature.0.kind"),
        ('kind = "gauge"', 'kind = "gauge"\ncolour = "red"', "feature.0.colour"),
        ('name = "memory"', 'name = "Memory; DROP TABLE"', "feature.0.name"),
        ('name = "memory"', 'name = "time"', "taken by another column"),
        ('kind = "gauge"', 'kind = "gauge"\nper = "cpus"', "'cpus' is not a feature"),
        (
            'kind = "gauge"\nsource = [{ metric = "container_memory_bytes" }]',
            'kind = "counter"\nsource = [{ metric = "a", over = "b" }]',
            "a counter has no quotient",
        ),
        ('"container_memory_bytes" }', '"m", exclude = { device = "(" } }', "no regular expression"),
        ('"container_memory_bytes" }', '"m", match = { device = "${disk}" } }', "no variable 'disk'"),
        ('"container_memory_bytes" }', '"m" }, { metric = "m", match = { mode = "x" } }', "may take the same series"),
        ('source = [{ metric = "container_memory_bytes" }]', "source = []", "feature.0.source"),
    ],
)
def test_a_fault_is_named(before: str, after: str, fault: str) -> None:
    assert before in MINIMAL
    with pytest.raises(CatalogueError, match=r"^catalogue pods\.toml: ") as raised:
        catalogue.parse(MINIMAL.replace(before, after), "pods.toml")
    assert fault in str(raised.value)


def test_every_fault_is_named_at_once() -> None:
    twice = MINIMAL + MINIMAL[MINIMAL.index("[[feature]]") :].replace("gauge", 'gauge"\nper = "x')
    with pytest.raises(CatalogueError, match=r"memory stands twice; .*'x' is not a feature"):
        catalogue.parse(twice, "pods.toml")


def test_an_unknown_variable_in_the_settings_is_a_fault() -> None:
    with pytest.raises(CatalogueError, match="no variable disks; it has: partial_disks"):
        catalogue.load(variables={"disks": "sda"})


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="cannot be read"):
        catalogue.load(tmp_path / "none.toml")
