"""The normal work of nodes, and the programs that stand around them."""

import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import fmean

import pytest

from models.scenarios import work
from models.scenarios.programs import miner, sink, sockets
from models.scenarios.programs.visitors import DAY_SECONDS, SWING, rate_per_second
from receiver.cli.processes import free_port
from tests.servers.process import Process, wait_until


def taken(seed: str, count: int = 400) -> list[tuple[float, work.Job]]:
    return list(islice(work.jobs(work.ROLES["database"], "10.77.128.2", seed), count))


def test_the_same_seed_gives_the_same_work() -> None:
    assert taken("a") == taken("a")
    assert taken("a") != taken("b")


def test_a_role_does_most_what_it_is_for_with_the_pauses_it_has() -> None:
    found = taken("a")
    counts = Counter(job.name for _, job in found)
    assert {name for name, _ in counts.most_common(2)} == {"database", "orders"}
    assert fmean(pause for pause, _ in found) == pytest.approx(work.ROLES["database"].pause_seconds, rel=0.2)


def test_every_job_is_ended_after_its_seconds() -> None:
    for _, job in taken("a", 50):
        assert job.command[:3] == ["timeout", "--kill-after=2", str(work.JOB_SECONDS)]


def test_every_role_knows_its_jobs_and_every_job_is_some_roles() -> None:
    assert {name for role in work.ROLES.values() for name in role.weights} == set(work.JOBS)
    unfamiliar = {name for role in work.UNFAMILIAR_ROLES.values() for name in role.weights}
    assert unfamiliar == {*work.JOBS, *work.UNFAMILIAR_JOBS}


@pytest.mark.parametrize("name", [*work.JOBS, *work.UNFAMILIAR_JOBS])
def test_every_job_is_shell_that_can_be_read(name: str) -> None:
    text = (work.JOBS | work.UNFAMILIAR_JOBS)[name]
    read = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")


def test_a_day_of_visits_has_its_average_and_goes_up_and_down() -> None:
    rates = [rate_per_second(4.0, 0.3, DAY_SECONDS * step / 100) for step in range(100)]
    assert fmean(rates) == pytest.approx(4.0)
    assert (min(rates), max(rates)) == pytest.approx((4 * (1 - SWING), 4 * (1 + SWING)), rel=0.01)


@pytest.fixture
def taker(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """The ports of a sink: for uploads, and for miners."""
    port, pool_port = free_port(), free_port()

    def listens() -> bool:
        for one in (port, pool_port):
            socket.create_connection(("127.0.0.1", one), timeout=1).close()
        return True

    argv = [sys.executable, "-IS", sink.__file__, "127.0.0.1", str(port), str(pool_port)]
    process = Process("sink", argv, tmp_path / "sink.log", listens)
    process.start()
    yield port, pool_port
    process.stop()


@pytest.mark.real("curl")
@pytest.mark.parametrize("pipe", [False, True], ids=["of a known length", "in chunks"])
def test_the_sink_takes_an_upload(taker: tuple[int, int], tmp_path: Path, pipe: bool) -> None:
    (tmp_path / "file").write_bytes(bytes(3_000_000))
    source = "-" if pipe else str(tmp_path / "file")
    answer = ["-s", "-o", str(tmp_path / "answer"), "-w", "%{http_code} %{size_upload}"]
    with (tmp_path / "file").open("rb") as body:
        command = ["curl", *answer, "-T", source, f"http://127.0.0.1:{taker[0]}/x"]
        told = subprocess.run(command, stdin=body, capture_output=True, text=True, timeout=30, check=True).stdout
    status, size = told.split()
    assert status == "204"
    assert int(size) >= 3_000_000


def test_a_miner_ends_by_itself_and_keeps_to_its_share(taker: tuple[int, int]) -> None:
    command = [sys.executable, "-IS", miner.__file__, "127.0.0.1", str(taker[1]), "0.2", "2"]
    timed = ["bash", "-c", 'TIMEFORMAT="%R %U"; time "$@"', "bash", *command]
    done = subprocess.run(timed, capture_output=True, text=True, timeout=30, check=True)
    real_seconds, user_seconds = map(float, done.stderr.split())
    assert real_seconds < 4
    assert 0.1 < user_seconds < 1.0


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_as_many_sockets_are_held_as_long_as_was_asked(taker: tuple[int, int], protocol: str) -> None:
    port = taker[0] if protocol == "tcp" else 0
    command = [sys.executable, "-IS", sockets.__file__, protocol, "127.0.0.1", str(port), "30", "20"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as holder:
        files = Path("/proc") / str(holder.pid) / "fd"
        wait_until(lambda: len(list(files.iterdir())) == 3 + 30, "all sockets are held", 10)
        holder.kill()
