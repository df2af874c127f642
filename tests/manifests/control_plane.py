"""What a cluster does with the objects that it is given, as far as podman does not: the controllers and the kubelet.

In: rendered objects. Out: pods as `podman play kube` runs them on one node, whose network is a namespace of our own.
Every field of a container stays as it is rendered, but for the probes and the ports: podman would run probes by a
shell inside, and the image has none, so the test asks the same paths from outside. Files of
secrets and service accounts are laid out here, since podman 4.3 cannot read its own secrets as volumes. Left to the
container engine: the user, the read-only root, the capabilities, limits, volumes, ConfigMaps, secrets as variables.

`api` answers what Prometheus asks the API server for, a list and a watch of pods.
"""

from __future__ import annotations

import base64
import copy
import json
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.manifests.engine import Engine
from tests.manifests.rendered import Object, pod_template
from tests.servers.certificates import Authority

TOKEN = "of-a-service-account"
ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


@dataclass(frozen=True)
class Node:
    """The one node of the cluster."""

    name: str
    address: str
    account: Path  # the folder of a service account's token, as a kubelet mounts it
    secrets: Path  # a folder for each secret, with a file for each key
    api_address: str
    api_port: int


def pods(workload: Object, node: Node) -> Iterator[Object]:
    """What the controller of a StatefulSet or DaemonSet makes, as the kubelet completes it."""
    template = copy.deepcopy(pod_template(workload))
    name = workload["metadata"]["name"]
    count = workload["spec"].get("replicas", 1)
    for number in range(count):
        own = f"{name}-{number}" if workload["kind"] == "StatefulSet" else name
        metadata = {**template["metadata"], "name": own, "namespace": workload["metadata"]["namespace"]}
        spec = copy.deepcopy(template["spec"])
        for claim in workload["spec"].get("volumeClaimTemplates", []):
            volume = claim["metadata"]["name"]
            claimed = {"name": volume, "persistentVolumeClaim": {"claimName": f"{volume}-{own}"}}
            spec["volumes"] = [*spec.get("volumes", []), claimed]
        for volume in spec.get("volumes", []):
            if "secret" in volume:
                kept = node.secrets / volume.pop("secret")["secretName"]
                volume["hostPath"] = {"path": str(kept), "type": "Directory"}
        if spec["automountServiceAccountToken"]:
            _mount_account(spec, node)
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def for_podman(pod: Object) -> Object:
    """Without what podman would do by itself: run probes, and map ports, which pods on the node's network need not."""
    stripped = copy.deepcopy(pod)
    for container in stripped["spec"]["containers"]:
        for field in (*PROBES, "ports"):
            container.pop(field, None)
    return stripped


def secret(engine: Engine, node: Node, name: str, values: Mapping[str, str]) -> None:
    """`kubectl create secret generic`: for variables by podman, for volumes by us."""
    with suppress(RuntimeError):
        engine("secret", "rm", name)
    coded = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    engine("secret", "create", name, "-", given=json.dumps(coded).encode())
    folder = node.secrets / name
    folder.mkdir()
    for key, value in values.items():
        (folder / key).write_text(value, encoding="utf-8")


def _mount_account(spec: Object, node: Node) -> None:
    account = {"name": "account", "hostPath": {"path": str(node.account), "type": "Directory"}}
    spec["volumes"] = [*spec.get("volumes", []), account]
    for container in spec["containers"]:
        mount = {"name": "account", "mountPath": ACCOUNT_FOLDER, "readOnly": True}
        container["volumeMounts"] = [*container.get("volumeMounts", []), mount]
        container["env"] = [
            *container.get("env", []),
            {"name": "KUBERNETES_SERVICE_HOST", "value": node.api_address},
            {"name": "KUBERNETES_SERVICE_PORT", "value": str(node.api_port)},
        ]


def hosts(services: Iterable[Object], node: Node) -> str:
    """/etc/hosts in the place of the cluster's DNS: every pod has the node's address."""
    lines = ["127.0.0.1 localhost"]
    for service in services:
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        names = [name, f"{name}.{namespace}", f"{name}.{namespace}.svc"]
        lines.append(f"{node.address} {' '.join(names)}")
    return "\n".join(lines) + "\n"


def readiness(pod: Object, node: Node) -> str | None:
    """The URL that a kubelet would ask; None where it would only open a connection."""
    (container,) = pod["spec"]["containers"]
    probe = container["readinessProbe"].get("httpGet")
    if probe is None:
        return None
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    return f"http://{node.address}:{ports[probe['port']]}{probe['path']}"


@contextmanager
def api(running: list[Object], node_name: str, listen: str, address: str, folder: Path) -> Iterator[Node]:
    """An API server on `listen` that knows the pods in `running`, all of which have the node's address.

    It answers whoever has the token of the service account.
    """
    authority = Authority(folder)
    certificate = authority.certificate("api", f"IP:{listen}")
    account = folder / "account"
    account.mkdir()
    account.joinpath("ca.crt").write_bytes(authority.own.file.read_bytes())
    account.joinpath("token").write_text(TOKEN, encoding="utf-8")
    account.joinpath("namespace").write_text("nodescore", encoding="utf-8")
    (folder / "secrets").mkdir()
    ending = threading.Event()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    server = ThreadingHTTPServer((listen, 0), _handler(running, node_name, address, ending))
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Node(node_name, address, account, folder / "secrets", listen, server.server_address[1])
    finally:
        ending.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(
    running: list[Object], node_name: str, address: str, ending: threading.Event
) -> type[BaseHTTPRequestHandler]:
    """What answers a request; a watch lasts until `ending`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            parameters = {key: values[0] for key, values in parse_qs(asked.query).items()}
            match asked.path.strip("/").split("/"):
                case ["api", "v1", "namespaces", namespace, "pods"]:
                    allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
                    found = _selected(running, namespace, parameters.get("labelSelector", ""), node_name, address)
                    if not allowed:
                        self._answer(401, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 401})
                    elif parameters.get("watch") in ("1", "true"):
                        self._watch(found if parameters.get("sendInitialEvents") == "true" else [])
                    else:
                        metadata = {"resourceVersion": "1"}
                        self._answer(200, {"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": found})
                case _:
                    self._answer(404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404})

        def _answer(self, status: int, document: Object) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _watch(self, first: list[Object]) -> None:
            """The pods that are there, where they are asked for; none comes or goes while a test runs."""
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            complete = {"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}
            events = [{"type": "ADDED", "object": pod} for pod in first]
            events.append({"type": "BOOKMARK", "object": {"kind": "Pod", "apiVersion": "v1", "metadata": complete}})
            for event in events:
                self.wfile.write(json.dumps(event).encode() + b"\n")
            self.wfile.flush()
            ending.wait()

        def log_message(self, *_: object) -> None:
            """The test's output is its own."""

    return Handler


def _selected(running: list[Object], namespace: str, selector: str, node_name: str, address: str) -> list[Object]:
    wanted = dict(term.split("=", 1) for term in selector.split(",") if term)
    return [
        {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {**pod["metadata"], "uid": pod["metadata"]["name"], "resourceVersion": "1"},
            "spec": {"nodeName": node_name, "containers": pod["spec"]["containers"]},
            "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "hostIP": address},
        }
        for pod in running
        if pod["metadata"]["namespace"] == namespace and wanted.items() <= pod["metadata"]["labels"].items()
    ]
