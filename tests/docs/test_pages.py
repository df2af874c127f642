"""What the documentation names exists, and each block says how it is known to work."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from receiver import catalogue, settings
from tests.docs.pages import DOCS, OUTPUT, PAGES, REPOSITORY, ROOT, anchors, blocks, links, prose
from tests.docs.reference import commands

RULES = ROOT / "manifests" / "prometheus"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
OPTIONS = {
    name: {word for one in command.params for word in (*one.opts, *one.secondary_opts)}
    for name, command in commands.commands()
}
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@every_page
def test_every_block_says_how_it_is_known_to_work(page: Path) -> None:
    wrong = [f"{block}: {block.mark!r}" for block in blocks(page) if block.language != OUTPUT and not block.understood]
    assert wrong == []


@every_page
def test_every_test_that_a_block_names_exists(page: Path) -> None:
    named = {found["test"] for block in blocks(page) if (found := block.understood) and found["test"]}
    assert [test for test in sorted(named) if not (ROOT / test).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, CONTRIBUTING], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [link for link in links(page) if not _leads_somewhere(page, link)] == []


def _leads_somewhere(page: Path, link: str) -> bool:
    if link.startswith(REPOSITORY):
        rest = link.removeprefix(REPOSITORY)
        found = re.fullmatch(r"/(?:blob|tree)/main/([^#]+)(?:#.+)?", rest)
        return rest == "" or (found is not None and (ROOT / found[1]).exists())
    if link.startswith("https://"):
        return True
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    # The site has the folder docs and nothing else.
    inside = DOCS not in page.parents or DOCS in target.parents
    return inside and target.exists() and (not anchor or anchor in anchors(target))


@every_page
def test_every_file_of_settings_can_be_used(page: Path, tmp_path: Path) -> None:
    for block in blocks(page):
        if block.language == "toml":
            (tmp_path / "nodescore.toml").write_text(block.text, encoding="utf-8")
            found = settings.load({}, tmp_path / "nodescore.toml", {})
            catalogue.load(found.catalogue, found.variables)


@every_page
def test_every_command_and_option_of_ours_exists(page: Path) -> None:
    texts = [block.text for block in blocks(page) if block.language != OUTPUT]
    inline = re.findall(r"`(nodescore [^`]+)`", " ".join(prose(page).split()))
    lines = [line for text in texts for line in text.replace("\\\n", " ").splitlines()]
    called = [found[1] for line in lines if (found := re.search(r"(?:^|/|\| )(nodescore [a-z].*)", line))]
    assert [text for text in [*inline, *called] if not _exists(text)] == []


def _exists(text: str) -> bool:
    words = shlex.split(text.replace("…", ""), comments=True)
    ends = [at for at, word in enumerate(words) if word in ("|", ">", "&&", ";", "&")]
    name, *rest = words[: min(ends, default=len(words))]
    while rest and f"{name} {rest[0]}" in OPTIONS:
        name, rest = f"{name} {rest[0]}", rest[1:]
    given = {word.partition("=")[0] for word in rest if re.match(r"-[a-z-]", word)}
    return given <= OPTIONS[name] | {"--help"} and (name != commands.ROOT or len(given) == len(rest))


def test_every_alert_has_its_heading_in_the_runbooks() -> None:
    rules = [rule for path in RULES.glob("*.yaml") for group in _groups(path) for rule in group["rules"]]
    alerts = {rule["alert"].lower() for rule in rules if "alert" in rule}
    assert alerts
    assert alerts - anchors(DOCS / "runbooks.md") == set()


def _groups(path: Path) -> list[dict[str, list[dict[str, str]]]]:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    found: list[dict[str, list[dict[str, str]]]] = document.get("groups", [])
    return found


@pytest.mark.parametrize("page", [*PAGES, CONTRIBUTING], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_make_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^\s*)make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= targets
