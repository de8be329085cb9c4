"""Replaces an identity again and again, each time dying one step on the disk later, until one comes through.

Arguments: key and certificate to replace, key and certificate to put there. Prints the serial number that is found after each death.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from sealcore.platform import identity
from sealcore.platform.config import TlsSettings

ON_DISK = frozenset({"os.rename", "os.symlink", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree"})


def main() -> None:
    files = [Path(argument) for argument in sys.argv[1:]]
    tls = TlsSettings(key_file=files[0], certificate_file=files[1], trust_file=files[0].with_name("trust_file.pem"))
    key, chain = files[2].read_bytes(), files[3].read_bytes()
    survived = 0
    while True:
        child = os.fork()
        if child == 0:
            die_before(survived)
            identity.replace(tls, key, chain)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{identity.read(tls).certificate.serial_number:x}\n")
        if status == 0:
            return
        survived += 1


def die_before(step: int) -> None:
    """Ends the process before its step of this number: no clean-up runs."""
    left = step

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in ON_DISK or (event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT):
            if left == 0:
                os._exit(9)
            left -= 1

    sys.addaudithook(hook)


if __name__ == "__main__":
    main()
