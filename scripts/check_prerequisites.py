"""Say in a sentence what is missing before anything is built. Runs on any Python 3, with nothing installed."""

import os
import re
import shutil
import subprocess
import sys

PYTHON_MIN = (3, 11)
RUST_MIN = (1, 88)


def missing():
    """Each sentence names one thing that is missing and how to get it."""
    if sys.version_info < PYTHON_MIN:
        yield "Python %d.%d or later is needed; this is %s. Name another one with: make PYTHON=python3.12 ..." % (
            *PYTHON_MIN,
            sys.version.split()[0],
        )
    if not sys.platform.startswith("linux"):
        yield "Linux is needed (Ray and the embedded PostgreSQL are run that way); this is %s." % sys.platform
    cargo = shutil.which("cargo")
    if cargo is None:
        yield "Rust is needed to build the native core, and `cargo` is not on the PATH. Get it from https://rustup.rs"
    else:
        printed = subprocess.run(
            [cargo, "--version"], check=False, stdout=subprocess.PIPE, universal_newlines=True
        ).stdout
        found = re.search(r"(\d+)\.(\d+)", printed)
        if found is None:
            yield (
                "`cargo` is there but does not run, usually since the Rust of rust-toolchain.toml is missing. "
                "Get it with: rustup toolchain install"
            )
        elif tuple(map(int, found.groups())) < RUST_MIN:
            yield "Rust %d.%d or later is needed; found: %s. Update it with: rustup update stable" % (
                *RUST_MIN,
                printed.strip(),
            )
    if not os.access(".", os.W_OK):
        yield "This folder is not writable for you; set-up keeps its environment in .venv here."


if __name__ == "__main__":
    sentences = list(missing())
    for sentence in sentences:
        print("cannot set up: " + sentence, file=sys.stderr)
    sys.exit(2 if sentences else 0)
