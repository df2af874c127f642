"""The texts that a node sees in its /proc."""

from models.scenarios.proc_files import Ever, diskstats_text, stat_text, vmstat_text

MACHINE = """cpu  9 9 9 9 9 9 9 9 9 9
cpu0 5 5 5 5 5 5 5 5 5 5
cpu1 4 4 4 4 4 4 4 4 4 4
intr 1234 0 0
ctxt 99
btime 1795159850
processes 777
procs_running 3
"""


def test_a_node_has_one_cpu_with_its_own_seconds_in_ticks() -> None:
    lines = stat_text(MACHINE, 1.5, 0.25, 10.0, 42).splitlines()
    assert lines[:2] == ["cpu  150 0 25 1000 0 0 0 0 0 0", "cpu0 150 0 25 1000 0 0 0 0 0 0"]
    assert not [line for line in lines if line.startswith("cpu1")]


def test_forks_are_the_nodes_and_interrupts_the_machines() -> None:
    lines = stat_text(MACHINE, 0, 0, 0, 42).splitlines()
    assert lines[2:] == ["intr 1234 0 0", "ctxt 99", "btime 1795159850", "processes 42", "procs_running 3"]


def test_faults_are_those_of_the_memory_group_with_its_children() -> None:
    group = "pgfault 1\npgmajfault 2\ntotal_pgpgin 3\ntotal_pgpgout 4\ntotal_pgfault 5\ntotal_pgmajfault 6\n"
    assert vmstat_text(group) == "pgfault 5\npgmajfault 6\npgpgin 3\npgpgout 4\n"


def test_the_disk_is_the_nodes_device_under_a_name_that_features_take() -> None:
    machine = "   7       1 loop1 1 2 3 4\n   7      11 loop11 9 9 9 9\n 254       0 vda 8 8 8 8\n"
    assert diskstats_text(machine, "loop1") == "   8       0 sda 1 2 3 4\n"


def test_a_counter_that_wraps_goes_on_rising() -> None:
    ever = Ever(100)
    assert [ever.add(value) for value in (90, 95, 5, 5)] == [90, 95, 105, 105]
