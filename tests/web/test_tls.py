"""TLS: renewed while requests go on, and certificates in the place of passwords."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from receiver.web.room import Limits
from tests.servers.certificates import Authority, Certificate, serial
from tests.servers.process import wait_until
from tests.web.guarded import HASH, PASSWORD, guarded_by

pytestmark = pytest.mark.real("openssl")
TLS = "tls_server_config: {cert_file: server.crt, key_file: server.key"
VERIFIES = f"{TLS}, client_ca_file: authority.crt, client_auth_type: "


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """One that has signed the server's certificate."""
    made = Authority(tmp_path)
    made.certificate("server", "IP:127.0.0.1")
    return made


def trusting(authority: Authority, shown: Certificate | None = None) -> ssl.SSLContext:
    """A client's TLS."""
    made = ssl.create_default_context(cafile=authority.own.file)
    if shown is not None:
        made.load_cert_chain(shown.file, shown.key)
    return made


def test_a_certificate_is_renewed_under_load_without_a_failed_request(tmp_path: Path, authority: Authority) -> None:
    tls = trusting(authority)
    with guarded_by(TLS + "}", tmp_path, tls=tls) as guarded:
        done = threading.Event()
        statuses: list[int] = []

        def keep_asking() -> None:
            while not done.is_set():
                statuses.append(guarded.ask("GET", "/metrics").status_code)

        def keep_connecting() -> None:
            while not done.is_set():
                statuses.append(httpx.get(f"{guarded.url}/metrics", verify=tls, timeout=30).status_code)

        def more_answers() -> None:
            before = len(statuses)
            wait_until(lambda: len(statuses) > before + 3, "more answers")

        threads = [threading.Thread(target=load) for load in (keep_asking, keep_connecting)]
        for thread in threads:
            thread.start()
        seen = [serial(guarded.address, tls)]
        for _ in range(5):
            more_answers()
            authority.certificate("server", "IP:127.0.0.1")
            guarded.access.poll()
            seen.append(serial(guarded.address, tls))
        done.set()
        for thread in threads:
            thread.join()
        assert len(set(seen)) == 6
        assert set(statuses) == {200}
        assert len(statuses) > 20


def test_a_bad_renewal_leaves_the_certificate_before_in_place(tmp_path: Path, authority: Authority) -> None:
    tls = trusting(authority)
    with guarded_by(TLS + "}", tmp_path, tls=tls) as guarded:
        before = serial(guarded.address, tls)
        (tmp_path / "server.crt").write_text("half a certificate")
        guarded.access.poll()
        assert serial(guarded.address, tls) == before
        assert guarded.metric("nodescore_web_config_failures_total") == 1


def test_who_does_not_shake_hands_in_time_is_cut_off_and_makes_room_for_others(
    tmp_path: Path, authority: Authority
) -> None:
    limits = Limits(connections=20, header_seconds=2)
    with guarded_by(TLS + "}", tmp_path, tls=trusting(authority), limits=limits) as guarded:
        junk = guarded.sender().send(b"GET / HTTP/1.1\r\n\r\n")
        assert b"HTTP" not in junk.read_to_end()
        silent = [guarded.sender() for _ in range(100)]
        assert guarded.ask("GET", "/metrics").status_code == 200
        assert guarded.metric('nodescore_connections_dropped_total{reason="room"}') >= 80
        assert all(one.is_closed() for one in silent)
        assert guarded.metric('nodescore_connections_dropped_total{reason="tls"}') >= 1
        guarded.client.close()
        wait_until(lambda: guarded.metric("nodescore_connections") == 0, "nobody is connected")


def test_a_request_may_come_in_one_piece_with_the_end_of_the_handshake(tmp_path: Path, authority: Authority) -> None:
    tls = trusting(authority)
    with guarded_by(TLS + "}", tmp_path, tls=tls) as guarded:
        coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = tls.wrap_bio(coming, going, server_hostname="127.0.0.1")
        plain = guarded.sender().socket
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
        plain.sendall(going.read())
        while True:
            coming.write(plain.recv(65536))
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
                break
        client.write(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        plain.sendall(going.read())  # the client's last word of the handshake, and the request
        answer = b""
        while b"healthy" not in answer:
            try:
                answer += client.read(65536)
            except ssl.SSLWantReadError:
                coming.write(plain.recv(65536))
        assert answer.startswith(b"HTTP/1.1 200 ")


def test_tls_is_neither_begun_nor_ended_by_a_reload(tmp_path: Path, authority: Authority) -> None:
    with guarded_by(TLS + "}", tmp_path, tls=trusting(authority)) as guarded:
        guarded.file.write_text("")
        answer = guarded.ask("POST", "/-/reload")
        assert (answer.status_code, "by a restart only" in answer.text) == (400, True)


def test_an_older_version_than_the_least_is_refused(tmp_path: Path, authority: Authority) -> None:
    with guarded_by(TLS + ", min_version: TLS13}", tmp_path, tls=trusting(authority)) as guarded:
        old = trusting(authority)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{guarded.url}/-/healthy", verify=old)


def test_of_suites_only_those_that_are_named_are_spoken(tmp_path: Path, authority: Authority) -> None:
    text = f"{TLS}, max_version: TLS12, cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]}}"
    with guarded_by(text, tmp_path, tls=trusting(authority)) as guarded:
        with socket.create_connection(guarded.address) as plain:
            one = trusting(authority).wrap_socket(plain, server_hostname="127.0.0.1")
            assert one.cipher() == ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2", 256)
            one.close()
        other = trusting(authority)
        other.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        other.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{guarded.url}/-/healthy", verify=other)


def test_a_certificate_is_needed_where_the_file_says_so(tmp_path: Path, authority: Authority) -> None:
    client = authority.certificate("client")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stranger = Authority(elsewhere).certificate("client")
    with guarded_by(f"{VERIFIES}RequireAndVerifyClientCert}}", tmp_path, tls=trusting(authority, client)) as guarded:
        assert guarded.ask("GET", "/metrics").status_code == 200
        for shown in (None, stranger):
            with pytest.raises(httpx.TransportError):
                httpx.get(f"{guarded.url}/-/healthy", verify=trusting(authority, shown))


def test_a_certificate_has_the_roles_of_its_names(tmp_path: Path, authority: Authority) -> None:
    named = authority.certificate("agent", "DNS:agent.example", "URI:spiffe://example/agent", "IP:::1")
    common = authority.certificate("laptop")
    unknown = authority.certificate("other", "DNS:laptop")
    text = f"""
{VERIFIES}VerifyClientCertIfGiven}}
basic_auth_users: {{ann: "{HASH}"}}
nodescore:
  permissions:
    users: {{ann: [activate]}}
    certificates: {{agent.example: [look], "spiffe://example/agent": [label], CN=laptop: [look]}}
"""
    with guarded_by(text, tmp_path, tls=trusting(authority)) as guarded:

        def statuses(shown: Certificate | None, user: str = "") -> list[int]:
            auth = (user, PASSWORD) if user else None
            with httpx.Client(verify=trusting(authority, shown), base_url=guarded.url, auth=auth, timeout=30) as client:
                asked = (("GET", "/-/healthy"), ("GET", "/metrics"), ("PUT", "/api/v1/labels/x"), ("POST", "/-/reload"))
                return [client.request(*one).status_code for one in asked]

        assert statuses(None) == [200, 401, 401, 401]
        assert statuses(named) == [200, 200, 415, 403]
        assert statuses(common) == [200, 200, 403, 403]
        assert statuses(unknown) == [200, 401, 401, 401]
        assert statuses(named, "ann") == [200, 403, 403, 200]  # who says who they are is that


def test_only_certificates_with_an_allowed_name_get_in(tmp_path: Path, authority: Authority) -> None:
    right, wrong = authority.certificate("right", "IP:::1"), authority.certificate("wrong", "DNS:b.example")
    text = f"{VERIFIES}RequireAndVerifyClientCert, client_allowed_sans: [a.example, '::1']}}"
    with guarded_by(text, tmp_path, tls=trusting(authority, right)) as guarded:
        assert guarded.ask("GET", "/metrics").status_code == 200
        answer = httpx.get(f"{guarded.url}/metrics", verify=trusting(authority, wrong))
        assert (answer.status_code, "client_allowed_sans" in answer.text) == (403, True)
