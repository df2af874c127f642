"""Where a setting comes from, and what is said of a wrong one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from receiver import settings
from receiver.settings import SettingsError


def load(environment: dict[str, str] | None = None, **flags: object) -> settings.Settings:
    return settings.load(flags, environment=environment or {})


def test_the_defaults_need_nothing() -> None:
    assert load().listen == "127.0.0.1:9201"
    assert load().embedded_path == Path("nodescore-data/nodescore.sqlite")


def test_a_flag_goes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "nodescore.toml"
    file.write_text("max_nodes = 1\nmax_series = 1\ntop_features = 1\n")
    environment = {"NODESCORE_CONFIG": str(file), "NODESCORE_MAX_SERIES": "2", "NODESCORE_TOP_FEATURES": "2"}
    found = load(environment, top_features=3, max_nodes=None)
    assert (found.max_nodes, found.max_series, found.top_features) == (1, 2, 3)


def test_a_file_named_by_flag_goes_before_the_one_of_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "nodescore.toml"
    file.write_text("max_nodes = 7\n")
    assert settings.load(config=file, environment={"NODESCORE_CONFIG": "/none"}).max_nodes == 7


def test_variables_of_the_catalogue_are_a_table_or_json(tmp_path: Path) -> None:
    file = tmp_path / "nodescore.toml"
    file.write_text('[variables]\nroot_mountpoint = "/host"\n')
    assert settings.load(config=file, environment={}).variables == {"root_mountpoint": "/host"}
    assert load({"NODESCORE_VARIABLES": '{"root_mountpoint": "/x"}'}).variables == {"root_mountpoint": "/x"}


@pytest.mark.parametrize("name", settings.SHIPPED_CATALOGUES)
def test_a_catalogue_that_ships_is_set_by_its_name(name: str) -> None:
    assert load({"NODESCORE_CATALOGUE": name}).catalogue.read_text().startswith("# ")


def test_another_catalogue_is_a_file() -> None:
    assert load(catalogue="mine/application.toml").catalogue == Path("mine/application.toml")


def test_other_variables_of_the_environment_are_not_ours() -> None:
    assert load({"PATH": "/bin", "NODE": "x"}) == load()


@pytest.mark.parametrize(
    ("environment", "text"),
    [
        ({"NODESCORE_MAX_NODE": "1"}, "setting max_node does not exist; there are: listen, "),
        ({"NODESCORE_MAX_NODES": "many"}, "setting max_nodes: Input should be a valid integer"),
        ({"NODESCORE_MAX_NODES": "0"}, "setting max_nodes: Input should be greater than 0"),
        ({"NODESCORE_LISTEN": "9201"}, "setting listen: Value error, must be HOST:PORT"),
        ({"NODESCORE_LISTEN": "x:99999"}, "setting listen: Value error, must be HOST:PORT"),
        ({"NODESCORE_STORE": "mysql://x"}, "setting store: Value error, must start with postgresql://"),
        ({"NODESCORE_VARIABLES": "{"}, "setting variables: not JSON"),
        ({"NODESCORE_CONFIG": "/no/such/file"}, "settings file /no/such/file: "),
        ({"NODESCORE_RETENTION_DAYS": "inf"}, "setting retention_days: Input should be a finite number"),
        ({"NODESCORE_JOURNAL_SYNC": "none"}, "setting journal_sync: Input should be 'full' or 'normal'"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_wrong(environment: dict[str, str], text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(environment)
    assert text in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_value_of_another_type_in_a_file_is_named_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("listen = 9201\nstore = 1\nvariables = 2\nmax_nodes = 1.5")
    with pytest.raises(SettingsError, match=r"listen: .*; setting store: .*; setting variables: .*; setting max_nodes"):
        load({"NODESCORE_CONFIG": str(tmp_path / "a.toml")})


def test_every_wrong_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"max_series: .*; setting max_nodes: "):
        load({"NODESCORE_MAX_NODES": "x", "NODESCORE_MAX_SERIES": "x"})


def test_a_password_is_shown_nowhere() -> None:
    good = load({"NODESCORE_STORE": "postgresql://user:hunter2@host/db"})
    assert "hunter2" not in repr(good)
    with pytest.raises(SettingsError) as raised:
        load({"NODESCORE_STORE": "mysql://user:hunter2@host/db"})
    assert "hunter2" not in str(raised.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load().max_nodes = 5
