"""Whoever runs Nodescore, or builds on it, may: no package asks for more than naming it."""

from __future__ import annotations

import re

from tests.security.licences import LIST, licence, listed, packages

PERMISSIVE = {
    "0BSD", "3-Clause BSD License", "Apache Software License", "Apache-2.0", "BSD License", "BSD-2-Clause",
    "BSD-3-Clause", "CC0-1.0", "ISC License (ISCL)", "LLVM-exception", "MIT", "MIT License", "MIT-CMU", "PSF-2.0",
    "Python Software Foundation License", "Zlib",
}  # fmt: skip
# Used as it is, by import: what the LGPL asks of whoever changes it, or binds it into a program, does not come up.
BY_NAME = {"psycopg": "LGPL-3.0-only", "psycopg-binary": "LGPL-3.0-only"}


def test_every_licence_is_one_that_was_looked_at() -> None:
    said = {package: licence(package) for package in packages()}
    unknown = {
        package: text
        for package, text in said.items()
        if BY_NAME.get(package) != text and not set(re.split(" AND | OR | WITH ", text)) <= PERMISSIVE
    }
    assert unknown == {}


def test_the_list_of_licences_is_up_to_date() -> None:
    assert LIST.read_text(encoding="utf-8") == listed(), "run `make licences`"
