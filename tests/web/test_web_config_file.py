"""The web configuration file: what is taken, and what is refused without a secret in the refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.web.access import check
from receiver.web.access.file import WebConfigError, read
from tests.servers.certificates import Authority

# Of the password "secret", at the least cost that there is.
HASH = "$2b$04$9si7dbVjaBDg5paZ5NdwAeLmHtUxHxur1RdwdFnbSai0wCWmd6ukW"
TOKEN = "0123456789abcdef0123456789abcdef"
TLS = "tls_server_config: {cert_file: a.crt, key_file: a.key"


def write(folder: Path, text: str) -> Path:
    path = folder / "web.yml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str, **environment: str) -> str:
    with pytest.raises(WebConfigError) as refused:
        check(write(folder, text), environment)
    assert str(folder / "web.yml") in str(refused.value)
    return str(refused.value).partition("web.yml: ")[2]


def test_an_empty_file_lets_everybody_do_everything(tmp_path: Path) -> None:
    assert check(write(tmp_path, "# nothing\n"), {}) == "no TLS, everybody may do everything"


def test_users_tokens_and_permissions_are_counted_and_not_named(tmp_path: Path) -> None:
    (tmp_path / "prometheus.token").write_text(f"{TOKEN}\n")
    text = f"""
        basic_auth_users: {{ann: "{HASH}"}}
        nodescore:
          bearer_tokens: {{prometheus: {{file: prometheus.token}}, ci: {{environment: CI_TOKEN}}}}
          permissions: {{users: {{ann: [look, label]}}, tokens: {{prometheus: [write]}}}}
    """
    assert check(write(tmp_path, text), {"CI_TOKEN": TOKEN}) == "no TLS, 1 user, 2 bearer tokens, permissions"


@pytest.mark.real("openssl")
def test_paths_are_of_the_files_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Authority(tmp_path).certificate("a")
    path = write(tmp_path, TLS + "}")
    monkeypatch.chdir("/")
    assert check(path, {}).startswith("TLS, ")
    assert read(path, {}).files == (path, tmp_path / "a.crt", tmp_path / "a.key")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("basic_auth_user: {}", "there is no key basic_auth_user"),
        ("tls_server_config: {certfile: a}", "tls_server_config.cert_file: Field required"),
        (TLS + ", cert: x}", "tls_server_config.cert is not supported: name a file with cert_file"),
        (TLS + ", key: x}", "tls_server_config.key is not supported: name a file with key_file"),
        ("rate_limit: {burst: 3}", "rate_limit is not supported: leave it out; connections and requests have limits"),
        (TLS + ", client_auth_type: RequireAnyClientCert}", "is insecure, because it verifies nothing"),
        (TLS + ", client_auth_type: Whatever}", "client_auth_type: Input should be 'NoClientCert', "),
        (TLS + ", client_ca_file: a.crt}", "client_ca_file has no use without a client_auth_type"),
        (TLS + ", client_auth_type: RequireAndVerifyClientCert}", "so it needs a client_ca_file"),
        (TLS + ", client_allowed_sans: [a]}", "client_allowed_sans needs client_auth_type RequireAndVerifyClientCert"),
        (TLS + ", min_version: TLS10}", "min_version: Input should be 'TLS12' or 'TLS13'"),
        (TLS + ", min_version: TLS13, max_version: TLS12}", "min_version is above max_version"),
        (TLS + ", cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}", "not supported: TLS_RSA_WITH_RC4_128_SHA"),
        (TLS + "}", "cert_file "),
        ("http_server_config: {http2: true}", "http_server_config.http2: HTTP/2 is not supported"),
        ("http_server_config: {headers: {Server: x}}", "only these headers can be set: Content-Security-Policy, "),
        ("http_server_config: {headers: {X-Frame-Options: allow}}", "X-Frame-Options can be deny or sameorigin"),
        ('http_server_config: {headers: {X-XSS-Protection: "0\\r\\nSet-Cookie: a"}}', "a character that no header can"),
        ("basic_auth_users: {ann: hunter2}", "user ann: not a bcrypt hash; `nodescore password-hash` makes one"),
        (f'basic_auth_users: {{ann: "{HASH.replace("04", "15")}"}}', "user ann: a cost over 14"),
        (f'basic_auth_users: {{"a:b": "{HASH}"}}', "the name of a user can have no colon"),
        (f'basic_auth_users: {{2024: "{HASH}"}}', "basic_auth_users.2024: Input should be a valid string"),
        (f'basic_auth_users: {{ann: "{HASH}", ann: "{HASH}"}}', "not YAML in line 1, column 89: a key twice, or"),
        ("nodescore: {bearer_tokens: {ci: {}}}", "bearer_tokens.ci: needs either file or environment"),
        ("nodescore: {bearer_tokens: {ci: {environment: NONE}}}", "bearer_tokens.ci: the variable NONE is not set"),
        ("nodescore: {bearer_tokens: {ci: {file: none}}}", "/none: No such file or directory"),
        ("nodescore: {bearer_tokens: {ci: {environment: SHORT}}}", "a token has 32 to 1024 letters, digits or"),
        ("nodescore: {permissions: {users: {bob: [look]}}}", "permissions.users: not in basic_auth_users: bob"),
        ("nodescore: {permissions: {tokens: {bob: [look]}}}", "permissions.tokens: not in bearer_tokens: bob"),
        ("nodescore: {permissions: {certificates: {bob: [look]}}}", "certificates: needs a client_auth_type"),
        (
            f'basic_auth_users: {{ann: "{HASH}"}}\nnodescore: {{permissions: {{users: {{ann: [admin]}}}}}}',
            "Input should be 'write', 'look', 'label' or 'activate'",
        ),
        ("[1, 2]", "Input should be a valid dictionary"),
        ("a: b: c", "not YAML in line 1, column 5"),
        ("a: !!python/object/apply:os.system [id]", "not YAML in line 1, column 4: could not determine a constructor"),
        ("[" * 10_000, "not YAML"),
        ("#" * 1024 * 1024 + "\n", "has more than 1048576 bytes"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_where_and_what(tmp_path: Path, text: str, fault: str) -> None:
    said = refusal(tmp_path, text, SHORT="hunter2")
    assert fault in said
    assert not {"hunter2", HASH} & set(said.replace('"', " ").split())


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WebConfigError, match=r"none\.yml: No such file"):
        check(tmp_path / "none.yml", {})


KEYS = st.sampled_from(["tls_server_config", "http_server_config", "basic_auth_users", "nodescore", "permissions"])
DOCUMENTS = st.recursive(st.text() | st.booleans(), lambda inner: st.dictionaries(KEYS, inner), max_leaves=8)


@settings(max_examples=50)
@given(st.binary() | DOCUMENTS.map(lambda document: yaml.safe_dump(document).encode()))
def test_any_bytes_are_a_configuration_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yml"
    path.write_bytes(content)
    try:
        read(path, {})
    except WebConfigError as refused:
        assert str(path) in str(refused)  # noqa: PT017


@pytest.mark.real("openssl")
def test_a_key_that_is_not_the_certificates_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.certificate("a")
    other = authority.certificate("b")
    other.key.rename(tmp_path / "a.key")
    assert "a.key: key values mismatch" in refusal(tmp_path, TLS + "}")


@pytest.mark.real("openssl")
def test_the_documented_example_can_be_used(tmp_path: Path) -> None:
    documented = (Path(__file__).parents[2] / "docs" / "web-config.md").read_text(encoding="utf-8")
    authority = Authority(tmp_path, "clients")
    authority.certificate("server")
    (tmp_path / "prometheus.token").write_text(TOKEN)
    path = write(tmp_path, documented.split("```yaml\n")[1].split("```")[0])
    assert check(path, {"DEPLOY_TOKEN": TOKEN}) == "TLS, 2 users, 2 bearer tokens, 2 certificate names, permissions"
