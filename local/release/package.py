"""The files of a release: the function's zip, a template that names it by parameters, an inventory, and checksums.

The same sources give the same bytes: nothing here depends on the time, the machine or the order of a folder.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import msgspec

from local.aws.stack import ROOT

NAME = "anaplan-autoload"
OLDEST = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can give a file; every file gets it."""
MODE = 0o100644 << 16
"""A regular file that everybody may read, as the zip's format has it: Lambda reads with another user."""
LOCKED = re.compile(r"^([a-z0-9][a-z0-9-]*)==([^\s;\\]+)", re.MULTILINE)
PARAMETERS = """\
Parameters:
  CodeBucket:
    Type: String
    AllowedPattern: ^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$
    ConstraintDescription: must be the name of a bucket in the stack's Region
    Description: Bucket of this Region with the function's zip.
  CodeKey:
    Type: String
    Default: %s
    AllowedPattern: ^[^\\s].*$
    MaxLength: 1024
    ConstraintDescription: must be the key of the zip
    Description: Key of the function's zip in the bucket.
"""
FUNCTION, PAGE = (f"      Handler: anaplan_autoload.{name}.handler\n" for name in ("handler", "page.widget"))
"""The functions' handlers: one package holds both."""
PAGE_CODE = """\
      CodeUri: { Bucket: !Ref CodeBucket, Key: !Ref CodeKey }
"""
CODE = """\
      CodeUri: { Bucket: !Ref CodeBucket, Key: !Ref CodeKey }
      # Another zip makes another version of the function, even under the same key.
      AutoPublishCodeSha256: %s
"""

HOW_IT_RUNS = "      - Label: { default: How it runs }\n        Parameters: ["


class TemplateChanged(ValueError):
    """The template lacks a line that a release replaces; the text says which."""


def release(package: Path, architecture: str, folder: Path) -> list[Path]:
    """Write a release of the function's package, which is a folder, and return its files."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{NAME}-{version()}"
    archive = folder / f"{stem}-{architecture}.zip"
    write_zip(package, archive)
    template = folder / f"{stem}-{architecture}.yaml"
    template.write_text(packaged((ROOT / "template.yaml").read_text(), archive.name, digest(archive), architecture))
    inventory = folder / f"{stem}-{architecture}.cdx.json"
    inventory.write_bytes(msgspec.json.format(msgspec.json.encode(bill_of_materials(archive, architecture))) + b"\n")
    files = [archive, template, inventory]
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(f"{digest(file)}  {file.name}\n" for file in files))
    return [*files, sums]


def version() -> str:
    """The project's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def write_zip(package: Path, archive: Path) -> None:
    """Zip the folder's files in the order of their names, without times and owners."""
    with ZipFile(archive, "w", ZIP_DEFLATED, compresslevel=9) as packed:
        for file in sorted(path for path in package.rglob("*") if path.is_file()):
            entry = ZipInfo(file.relative_to(package).as_posix(), OLDEST)
            entry.external_attr = MODE
            entry.create_system = 3  # Unix, on whatever machine this runs
            entry.compress_type = ZIP_DEFLATED
            packed.writestr(entry, file.read_bytes(), compresslevel=9)


def packaged(template: str, key: str, code_sha256: str, architecture: str) -> str:
    """The template, with the zip's place as two parameters. Raises `TemplateChanged`."""
    for found, becomes in (
        ("Parameters:\n", PARAMETERS % key),
        (f"      CodeUri: src/\n{FUNCTION}", f"{CODE % code_sha256}{FUNCTION}"),
        (f"      CodeUri: src/\n{PAGE}", f"{PAGE_CODE}{PAGE}"),
        ("      BuildMethod: makefile\n      # UpdateReplacePolicy", "      # UpdateReplacePolicy"),
        ("      BuildMethod: makefile\n", ""),
        ("    LicenseUrl: LICENSE\n", ""),
        ("    ReadmeUrl: README.md\n", ""),
        ("    Default: arm64\n", f"    Default: {architecture}\n"),
        (HOW_IT_RUNS, f"{HOW_IT_RUNS}CodeBucket, CodeKey, Architecture, "),
    ):
        if len(re.findall(f"^{re.escape(found)}", template, re.MULTILINE)) != 1:
            raise TemplateChanged(f"template.yaml has not exactly one line {found.strip()!r}; adapt local/release")
        template = re.sub(f"^{re.escape(found)}", becomes.replace("\\", r"\\"), template, flags=re.MULTILINE)
    return template


def bill_of_materials(archive: Path, architecture: str) -> dict[str, Any]:
    """What the zip contains, from the locked requirements, as CycloneDX 1.6."""
    own = f"pkg:pypi/{NAME}@{version()}"
    locked = LOCKED.findall((ROOT / "src/requirements.txt").read_text())
    components = [
        {"type": "library", "bom-ref": purl, "name": name, "version": number, "purl": purl}
        for name, number in sorted(locked)
        for purl in (f"pkg:pypi/{name}@{number}",)
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, f'{own}#{digest(archive)}')}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": NAME,
                "version": version(),
                "licenses": [{"license": {"id": "Apache-2.0"}}],
                "hashes": [{"alg": "SHA-256", "content": digest(archive)}],
                "properties": [{"name": "aws:lambda:architecture", "value": architecture}],
            }
        },
        "components": components,
        "dependencies": [
            {"ref": own, "dependsOn": [component["bom-ref"] for component in components]},
        ],
    }


def digest(file: Path) -> str:
    """Its sha256, in hex."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
