"""Certificates for servers of tests, each its own CA."""

import subprocess
from pathlib import Path


def make_certificate(
    folder: Path, name: str, *, hosts: str = "IP:127.0.0.1", password: str = ""
) -> tuple[Path, Path]:
    """Make a certificate that is its own CA; return its file and that of its key.

    Args:
        hosts: the names and addresses that it is for, as openssl writes them.
        password: of the key; empty: none.
    """
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName={hosts}"),
            *("-keyout", key, "-out", chain),
            *(("-passout", f"pass:{password}") if password else ("-nodes",)),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return chain, key
