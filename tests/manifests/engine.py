"""podman, with settings and images of its own in the cache folder: nothing of the user's engine is touched.

Images: ours, built by the Dockerfile as it is, over a base that mmdebstrap makes (no registry is needed); and those
that the manifests name, made of the programs that `tests.servers.obtain` has got, under the names that the manifests
have. What was built is found again by its layers: seconds, after some minutes for the first time.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.manifests.generated import ROOT
from tests.servers import places

BASE = "localhost/debian:trixie"
SUITE = "trixie"
BUILD_SECONDS = 900
COMMAND_SECONDS = 120
# Of one container, at most.
FILES = 16_384
PROCESSES = 4_096

CONFIGURATION = """\
[containers]
netns = "host"
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
base_hosts_file = "{hosts}"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""


class Engine:
    """podman on a storage; `hosts` is every container's /etc/hosts, `prefix` what stands before the command."""

    def __init__(self, folder: Path, prefix: Sequence[str] = (), hosts: str = "127.0.0.1 localhost\n") -> None:
        self._prefix = list(prefix)
        (folder / "hosts").write_text(hosts, encoding="utf-8")
        configuration = folder / "containers.conf"
        # podman asks for more than this process may have, unless it is told.
        files = min(FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        text = CONFIGURATION.format(hosts=folder / "hosts", files=files, processes=PROCESSES)
        configuration.write_text(text, encoding="utf-8")
        # Without systemd nobody would run the health checks of images.
        self._environment = {**os.environ, "CONTAINERS_CONF": str(configuration), "DISABLE_HC_SYSTEMD": "true"}
        storage = places.cache_folder() / "containers"
        self._roots = [f"--root={storage / 'storage'}", f"--runroot={storage / 'run'}"]

    def __call__(
        self, *arguments: object, seconds: float = COMMAND_SECONDS, given: bytes | None = None, both: bool = False
    ) -> str:
        """What `podman …` prints, on standard error too with `both`; RuntimeError with its complaint."""
        return self._run(["podman", *self._roots, *map(str, arguments)], seconds, given, both)

    def compose(self, files: Sequence[Path], *arguments: str) -> None:
        """`podman-compose …` of these files, the later ones over the first."""
        options = [f"--podman-args={root}" for root in self._roots] + [f"--file={file}" for file in files]
        self._run([sys.executable, "-m", "podman_compose", *options, *arguments], COMMAND_SECONDS, None, False)

    def _run(self, line: Sequence[str], seconds: float, given: bytes | None, both: bool) -> str:
        done = subprocess.run(
            [*self._prefix, *line],
            env=self._environment,
            input=given,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(line)}: {done.stderr.decode(errors='replace')[-4000:]}")
        return (done.stdout + (done.stderr if both else b"")).decode(errors="replace")

    def logs(self) -> str:
        """The ends of all containers' logs."""
        names = self("ps", "--all", "--format={{.Names}}").split()
        return "\n".join(f"--- {name}\n{self('logs', '--tail=60', name, both=True)}" for name in names)

    def has(self, image: str) -> bool:
        """True where the image is in the storage."""
        return image in self("images", "--format={{.Repository}}:{{.Tag}}").split()

    def build(self, name: str, context: Path, dockerfile: Path, *options: str) -> None:
        """Build an image, layer by layer as far as they are not there."""
        self(
            "build", "--isolation=chroot", "--layers", f"--file={dockerfile}", f"--tag={name}", "--format=docker",
            *options, context, seconds=BUILD_SECONDS,
        )  # fmt: skip


def make_base(engine: Engine) -> None:
    """Debian as small as its public image, and of the same suite."""
    if engine.has(BASE):
        return
    tar = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=ca-certificates", SUITE, "-"]
    made = subprocess.run(tar, capture_output=True, timeout=BUILD_SECONDS, check=True)
    engine("import", "-", BASE, given=made.stdout)


def make_ours(engine: Engine, folder: Path, target: str, name: str) -> None:
    """The image of this checkout, by the project's own Dockerfile."""
    make_base(engine)
    engine.build(
        name, ROOT, ROOT / "Dockerfile", f"--target={target}", f"--build-arg=BASE={BASE}", *_pip_options(folder)
    )


def _pip_options(folder: Path) -> list[str]:
    """This machine's way to its package index, for the time of the build: no part of the image."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    given: dict[str, str] = dict(re.findall(r"^(?:global|:env:)\.([\w-]+)='([^'\n]*)'$", listed.stdout, re.MULTILINE))
    lines, options = ["[global]"], []
    if "index-url" in given:
        lines.append(f"index-url = {given['index-url']}")
    if "cert" in given:
        lines.append("cert = /run/pip-ca.crt")
        options.append(f"--volume={given['cert']}:/run/pip-ca.crt:ro")
    (folder / "pip.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [*options, f"--volume={folder / 'pip.conf'}:/etc/pip.conf:ro"]


POSTGRES = """\
FROM {base}
COPY usr/lib/postgresql /usr/lib/postgresql
COPY usr/lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu
COPY usr/share/postgresql /usr/share/postgresql
RUN echo 'postgres:x:70:70::/var/lib/postgresql:/bin/sh' >> /etc/passwd && echo 'postgres:x:70:' >> /etc/group \
    && mkdir -p /var/lib/postgresql/data /var/run/postgresql && chown -R 70:70 /var/lib/postgresql /var/run/postgresql
RUN printf '%s\\n' {script} > /entrypoint && chmod 0755 /entrypoint
ENTRYPOINT ["/entrypoint"]
"""
# What the public image does with its variables, and with a user who may become another.
POSTGRES_SCRIPT = """\
#!/bin/sh
set -e
PATH=/usr/lib/postgresql/17/bin:$PATH
export PGDATA="${PGDATA:-/var/lib/postgresql/data}"
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"
  chown 70:70 "$PGDATA"
  exec setpriv --reuid=70 --regid=70 --clear-groups "$0"
fi
if [ -z "$POSTGRES_PASSWORD_FILE" ]; then
  POSTGRES_PASSWORD_FILE=/tmp/password
  printf %s "$POSTGRES_PASSWORD" > "$POSTGRES_PASSWORD_FILE"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --locale=C.UTF-8 \\
    --auth-local=trust --auth-host=scram-sha-256
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  echo "shared_preload_libraries = timescaledb" >> "$PGDATA/postgresql.conf"
  echo "timescaledb.telemetry_level = off" >> "$PGDATA/postgresql.conf"
  pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses=" --wait start
  createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
  psql --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" --command="CREATE EXTENSION timescaledb"
  pg_ctl --pgdata="$PGDATA" --wait stop
fi
exec postgres -D "$PGDATA" -c listen_addresses=*
"""
# Each public image runs as nobody, who owns the folder that it keeps its data in.
PROGRAM = """\
FROM {base}
COPY . /
RUN mkdir /{program} && chown 65534:65534 /{program}
USER 65534:65534
ENTRYPOINT ["/usr/bin/{program}"]
"""


def make_timescaledb(engine: Engine, folder: Path, name: str) -> None:
    """The TimescaleDB of `tests.servers`, with the user and the variables of the public image."""
    script = " ".join("'" + line.replace("'", "'\\''") + "'" for line in POSTGRES_SCRIPT.splitlines())
    dockerfile = folder / "timescaledb"
    dockerfile.write_text(POSTGRES.format(base=BASE, script=script), encoding="utf-8")
    engine.build(name, Path(places.path_of("timescale")), dockerfile)


def make_program(engine: Engine, folder: Path, name: str, program: str) -> None:
    """A program of `tests.servers` as an image's entry point."""
    path = Path(places.path_of(program))
    context = folder / program
    (context / "usr/bin").mkdir(parents=True)
    shutil.copy(path, context / "usr/bin" / program)
    templates = path.parent.parent / "share/prometheus/alertmanager"  # which Debian's Alertmanager opens
    if templates.exists():
        shutil.copytree(templates, context / "usr/share/prometheus/alertmanager", symlinks=True)
    dockerfile = folder / f"{program}.dockerfile"
    dockerfile.write_text(PROGRAM.format(base=BASE, program=program), encoding="utf-8")
    engine.build(name, context, dockerfile)


def unpacked_bytes(engine: Engine, name: str) -> int:
    """Of all layers of an image."""
    return int(engine("image", "inspect", "--format={{.Size}}", name))
