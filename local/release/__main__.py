"""`python -m local.release`: build the files of a release in `dist/`; see `make package`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from local.aws.stack import ROOT
from local.release.package import release
from local.sam.files import build


def main() -> None:
    """Build, and say what was built."""
    parser = argparse.ArgumentParser(prog="python -m local.release", description="Build a release in dist/.")
    parser.add_argument("--architecture", choices=("arm64", "x86_64"), default="arm64")
    parser.add_argument("--folder", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "package"
        build(package, options.architecture)
        for file in release(package, options.architecture, options.folder):
            print(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


if __name__ == "__main__":
    main()
