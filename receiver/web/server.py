"""The service behind uvicorn, until a signal ends it.

`serve` checks everything that can be wrong before it listens, so that a wrong setting, catalogue or model ends it
with one line (`ConfigurationError`) and nothing half started.
"""

from __future__ import annotations

import ipaddress
import logging
import resource
import signal
import socket
import time
from contextlib import suppress

import uvicorn

from receiver import catalogue as catalogues
from receiver.allocator import keep_freed_memory
from receiver.detector import Detector
from receiver.errors import NodescoreError
from receiver.follower import Follower
from receiver.service import Service
from receiver.settings import Settings, SettingsError
from receiver.web.access import Access, check, guarded
from receiver.web.app import create_app
from receiver.web.connection import connection_class
from receiver.web.handshake import handshake_class
from receiver.web.reloading import Reloading
from receiver.web.room import KEEP_ALIVE_SECONDS, MAX_CONNECTIONS, Limits, Room
from receiver.web.write import with_remote_write

# Files beside the connections: the store's, for each reader of it anew, the model's, and TimescaleDB's connection.
FILES = 256
# Requests that are being answered when the signal comes.
SHUTDOWN_SECONDS = 10

log = logging.getLogger(__name__)


def build(settings: Settings) -> Service:
    """A service that has checked its settings, catalogue and model, and not started."""
    catalogue = catalogues.load(settings.catalogue, settings.variables)
    if settings.model is not None:
        return Service(settings, catalogue, Detector.load(settings.model, catalogue.feature_names))
    follower = Follower(settings, catalogue)
    return Service(settings, catalogue, follower.first(time.time_ns() // 1_000_000), follower)


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if settings.web_config is not None:
        check(settings.web_config)
    keep_freed_memory()
    listener = listen(settings.listen)
    log.info("starting; the first time in an environment, compiling takes up to a minute")
    service = build(settings)
    access = None if settings.web_config is None else Access(settings.web_config, service.exposition.metrics)
    reloading = Reloading(service, access)
    service.start()
    try:
        reloading.start()
        signal.signal(signal.SIGHUP, reloading.ask)
        scheme = "http" if access is None or access.tls is None else "https"
        host, port = listener.getsockname()[:2]
        log.info("listening on %s://%s:%d", scheme, host, port)
        if is_open(host, access):
            log.warning("whoever reaches this address may do everything; see docs/web-config.md for who shall do what")
        run(service, listener, Limits(connections=room_for_connections()), access)
    finally:
        reloading.stop()
        if access is not None:
            access.close()
        service.stop()
        log.info("stopped")
    if service.worker.failed:
        raise NodescoreError("the pipeline has failed; see the log. What was acknowledged is in the journal")


def is_open(host: str, access: Access | None) -> bool:
    """Whether other machines may do everything."""
    return not ipaddress.ip_address(host).is_loopback and (access is None or access.lets_everybody)


def run(service: Service, listener: socket.socket, limits: Limits, access: Access | None = None) -> None:
    """Answer on a listening socket until a signal comes."""
    server = uvicorn.Server(config(service, limits, access))

    def end() -> None:
        server.should_exit = True

    service.worker.on_failure = end
    if service.worker.failed:
        end()
    # When it has ended, uvicorn raises the signal again that ended it: by default, SIGTERM would end us here and now.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def config(service: Service, limits: Limits, access: Access | None = None) -> uvicorn.Config:
    """All that answers, within limits, for those who may."""
    app = with_remote_write(service, create_app(service, access))
    room = Room(limits, service.exposition.metrics)
    connection = connection_class(room)
    return uvicorn.Config(
        app if access is None else guarded(access, app),
        http=connection if access is None or access.tls is None else handshake_class(room, access, connection),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # Who guesses passwords would be of another address each time.
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def room_for_connections() -> int:
    """How many the kernel lets this process have, as far as they are wanted; asks it for enough first."""
    wanted = FILES + MAX_CONNECTIONS
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (wanted if limit == resource.RLIM_INFINITY else limit for limit in limits)
    if soft < wanted:
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, limits[1]))
    return min(MAX_CONNECTIONS, max(soft - FILES, soft // 2))


def listen(address: str) -> socket.socket:
    """A socket bound to HOST:PORT; IPv6 hosts in brackets."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family, backlog=512, reuse_port=False)
    except OSError as error:
        raise SettingsError(f"setting listen: cannot listen on {address}: {error.strerror}") from error
