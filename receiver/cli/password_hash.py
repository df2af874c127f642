"""`nodescore password-hash`: what stands in the web configuration in a password's place."""

from __future__ import annotations

import sys

import typer

from receiver.errors import DataError

# As htpasswd is usually told: a tenth of a second for each password that is not known yet.
BCRYPT_COST = 11


def password_hash() -> None:
    """Ask for a password, or read a line, and print its bcrypt hash for basic_auth_users.

    nodescore password-hash
    """
    import bcrypt

    from receiver.web.access.passwords import MAX_PASSWORD_BYTES

    asks = sys.stdin.isatty()
    typed = (
        typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True) if asks else sys.stdin.readline()
    )
    password = typed.rstrip("\r\n").encode()
    if not 0 < len(password) <= MAX_PASSWORD_BYTES or 0 in password:
        raise DataError(f"a password has 1 to {MAX_PASSWORD_BYTES} bytes, which is all that bcrypt looks at")
    typer.echo(bcrypt.hashpw(password, bcrypt.gensalt(BCRYPT_COST)).decode("ascii"))
