"""Recordings, and sending them."""

import base64
import gzip
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.catalogue import load
from receiver.cli.demo import _shipped
from receiver.cli.recording import Recorded, Sender, read
from receiver.cli.replay import delta_of
from receiver.errors import ConfigurationError, DataError
from receiver.wire.body import decompress
from receiver.wire.remote_write_v2_pb2 import Request
from tests.cli.conftest import Nodescore
from tests.servers.certificates import Authority

SHIPPED = _shipped()


@dataclass
class Sink:
    """A receiver that keeps what it gets and answers what it is told to, the last answer again and again."""

    answers: list[tuple[int, str]]
    bodies: list[bytes] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def sink(*answers: tuple[int, str], tls: ssl.SSLContext | None = None) -> Iterator[Sink]:
    held = Sink(list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            held.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            held.authorizations.append(self.headers["Authorization"])
            status, text = held.answers.pop(0) if len(held.answers) > 1 else held.answers[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Retry-After", "0")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    held.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/api/v1/write"
    try:
        yield held
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def line(at_ms: int | None = 1000, body: bytes = b"x", event: str = "") -> str:
    fields = {"headers": {"Content-Type": "t"}, "body_base64": base64.b64encode(body).decode(), "event": event}
    return json.dumps(fields if at_ms is None else fields | {"at_ms": at_ms})


def times_of(body: bytes) -> set[int]:
    request = Request()
    request.ParseFromString(decompress(body))
    return {sample.timestamp for series in request.timeseries for sample in series.samples}


def test_the_shipped_recording_is_small_and_has_what_the_catalogue_wants_and_an_attack() -> None:
    requests = read(SHIPPED)
    first = Request()
    first.ParseFromString(decompress(requests[0].body))
    wanted = set(load().terms_of_metric)
    assert SHIPPED.stat().st_size <= 500_000
    assert {name for name in first.symbols if name.startswith("node_")} <= wanted
    assert len([request for request in requests if request.event]) == 2


def test_plain_and_gzipped_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(line(event="go") + "\n\n")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    expected = [Recorded({"content-type": "t"}, b"x", 1000, "go")]
    assert read(tmp_path / "a.jsonl") == read(tmp_path / "a.jsonl.gz") == expected


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "holds no request"),
        (line().encode() + b"\n{}", r"line 2: is not \{"),
        (b'{"headers": 1, "body_base64": ""}', r"line 1: is not \{"),
        (b'{"headers": {}, "body_base64": "?"}', r"line 1: is not \{"),
        (b"\xff", "cannot be read"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=fault):
        read(tmp_path / "a.jsonl")


@pytest.mark.parametrize("damage", [lambda whole: whole[:-9], lambda whole: whole[:10] + b"\xff" * 9 + whole[19:]])
def test_a_broken_gzip_file_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    (tmp_path / "a.gz").write_bytes(damage(gzip.compress(line().encode())))
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path / "a.gz")


@given(st.lists(st.integers(0, 10**7), min_size=1).map(sorted), st.sampled_from([0.0, 0.5, 1.0, 2.0, 100.0]))
def test_no_sample_is_in_the_future_when_it_is_sent_and_the_last_is_as_of_then(
    arrivals: list[int], speed: float
) -> None:
    now_ms = 1e12
    delta_ms = delta_of([Recorded({}, b"", at_ms, "") for at_ms in arrivals], now_ms, speed)
    sent = [now_ms + ((at_ms - arrivals[0]) / speed if speed else 0.0) for at_ms in arrivals]
    slower = 0 < speed < 1
    assert arrivals[-1] + delta_ms == pytest.approx(sent[-1], abs=1)
    assert slower or all(at_ms + delta_ms <= when + 1 for at_ms, when in zip(arrivals, sent, strict=True))


def test_a_503_is_sent_again_and_a_400_is_not() -> None:
    with sink((503, "full"), (503, "full"), (204, "")) as retrying:
        with closing(Sender(retrying.url)) as sender:
            assert sender.send({}, b"body").status == 204
        assert retrying.bodies == [b"body"] * 3
    with sink((400, "bad")) as refusing:
        with closing(Sender(refusing.url)) as sender:
            assert sender.send({}, b"body").text == "bad"
        assert len(refusing.bodies) == 1


@pytest.mark.real("openssl")
def test_a_certificate_that_is_not_trusted_is_a_fault_and_not_tried_again(tmp_path: Path) -> None:
    shown = Authority(tmp_path).certificate("server", "IP:127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(shown.file, shown.key)
    refused = pytest.raises(ConfigurationError, match=r"not trusted: .*; SSL_CERT_FILE")
    with sink((204, ""), tls=tls) as receiving, closing(Sender(receiving.url)) as sender, refused:
        sender.send({}, b"body")


@pytest.mark.parametrize("url", ["", "nodescore:9201", "ftp://x/", "http://", "http://x:99999", "http://[::1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must be http://HOST"):
        Sender(url)


def test_a_replay_sends_every_body_with_its_samples_moved_and_their_spacing_kept(nodescore: Nodescore) -> None:
    requests = read(SHIPPED)
    with sink((204, "")) as receiving:
        done = nodescore("replay", SHIPPED, "--url", receiving.url, "--speed", "0")
    assert done.out == f"{len(requests)} requests sent to {receiving.url}: {len(requests)} × 204\n"
    assert (done.status, done.err) == (0, "")
    before = [sorted(times_of(request.body)) for request in requests]
    after = [sorted(times_of(body)) for body in receiving.bodies]
    deltas = {new - old for olds, news in zip(before, after, strict=True) for old, new in zip(olds, news, strict=True)}
    assert len(deltas) == 1


def test_an_unshifted_replay_sends_the_very_bytes(nodescore: Nodescore, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join([line(None, b"one"), line(None, b"two")]))
    with sink((204, "")) as receiving:
        nodescore("replay", "a.jsonl", "--url", receiving.url, "--no-shift", "--speed", "0")
    assert receiving.bodies == [b"one", b"two"]


def test_a_replay_sends_the_token_of_a_file_and_never_one_that_was_recorded(
    nodescore: Nodescore, tmp_path: Path
) -> None:
    recorded = json.loads(line(None)) | {"headers": {"AUTHORIZATION": "Bearer recorded"}}
    (tmp_path / "a.jsonl").write_text(json.dumps(recorded))
    (tmp_path / "own.token").write_text("own\n")
    (tmp_path / "two.token").write_text("own\nhunter2\n")
    with sink((204, "")) as receiving:
        plain = ("replay", "a.jsonl", "--url", receiving.url, "--no-shift", "--speed", "0")
        nodescore(*plain)
        nodescore(*plain, "--token-file", "own.token")
        refused = nodescore(*plain, "--token-file", "two.token")
    assert receiving.authorizations == [None, "Bearer own"]
    assert (refused.status, "hunter2" in refused.err) == (2, False)
    assert "--token-file two.token: is not a token on one line" in refused.err


def test_a_moved_body_is_sent_with_its_own_length_whatever_headers_were_recorded(
    nodescore: Nodescore, tmp_path: Path
) -> None:
    recorded = json.loads(gzip.decompress(SHIPPED.read_bytes()).splitlines()[0])
    recorded["headers"] |= {"Content-Length": "7", "Host": "elsewhere", "Connection": "close"}
    (tmp_path / "a.jsonl").write_text(json.dumps(recorded))
    with sink((204, "")) as receiving:
        assert nodescore("replay", "a.jsonl", "--url", receiving.url, "--speed", "0").status == 0
    assert times_of(receiving.bodies[0])


def test_refused_requests_are_counted_quoted_once_and_end_with_status_1(nodescore: Nodescore, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("\n".join([line(None)] * 3))
    with sink((204, ""), (400, "label 3 is empty")) as receiving:
        done = nodescore("replay", "a.jsonl", "--url", receiving.url, "--no-shift", "--speed", "0")
    assert done.status == 1
    assert done.out == f"3 requests sent to {receiving.url}: 1 × 204, 2 × 400\n  label 3 is empty\n"


def test_a_recording_without_times_is_not_shifted(nodescore: Nodescore, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(line(None))
    done = nodescore("replay", "a.jsonl")
    assert done.status == 2
    assert "some lines have no at_ms; send it with --no-shift --speed 0" in done.err


def test_at_a_terminal_the_sending_has_a_bar(nodescore: Nodescore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with sink((204, "")) as receiving:
        done = nodescore("replay", SHIPPED, "--url", receiving.url, "--speed", "0")
    assert "sending" in done.err
