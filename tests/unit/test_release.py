"""What `make package` puts into dist/: it is the same every time, and its template and inventory are valid."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import msgspec
import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7
from samtranslator.yaml_helper import yaml_parse

from local.release.package import TemplateChanged, bill_of_materials, packaged, release, version, write_zip

ROOT = Path(__file__).parents[2]
NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
SCHEMAS = sorted(ROOT.glob(".venv-*/lib/python3*/site-packages/cyclonedx/schema/_res/bom-1.6.SNAPSHOT.schema.json"))
"""CycloneDX's own, which come with the environments of `make audit` and `make check`."""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small package."""
    folder = tmp_path / "package"
    (folder / "deep").mkdir(parents=True)
    (folder / "module.py").write_text("print('here')\n")
    (folder / "deep/data.json").write_text("{}")
    return folder


def read(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml_parse(text)  # type: ignore[no-untyped-call]
    return found


def test_the_zip_depends_on_names_and_contents_alone(package: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(package, other, copy_function=shutil.copy)
    os.utime(other / "module.py", (0, 0))
    (other / "module.py").chmod(0o600)
    write_zip(package, tmp_path / "one.zip")
    write_zip(other, tmp_path / "two.zip")

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with ZipFile(tmp_path / "one.zip") as packed:
        assert packed.namelist() == ["deep/data.json", "module.py"]
        assert {entry.external_attr >> 16 for entry in packed.infolist()} == {0o100644}
    (other / "module.py").write_text("print('there')\n")
    write_zip(other, tmp_path / "three.zip")
    assert (tmp_path / "one.zip").read_bytes() != (tmp_path / "three.zip").read_bytes()


def test_the_template_takes_the_zips_place_as_parameters(package: Path, tmp_path: Path) -> None:
    archive, template, _, _ = release(package, "x86_64", tmp_path / "dist")
    source, made = read((ROOT / "template.yaml").read_text()), read(template.read_text())
    function, page = (made["Resources"][name]["Properties"] for name in ("Autoload", "Page"))

    assert (
        function.pop("CodeUri") == page.pop("CodeUri") == {"Bucket": {"Ref": "CodeBucket"}, "Key": {"Ref": "CodeKey"}}
    )
    assert function.pop("AutoPublishCodeSha256") == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert made["Parameters"].pop("CodeKey")["Default"] == archive.name
    assert "Default" not in made["Parameters"].pop("CodeBucket")
    assert made["Parameters"]["Architecture"]["Default"] == "x86_64"
    for name in ("Autoload", "Page"):
        del source["Resources"][name]["Properties"]["CodeUri"], source["Resources"][name]["Metadata"]
        del made["Resources"][name]["Metadata"]
    assert made["Resources"] == source["Resources"], "nothing else differs"
    assert made["Outputs"] == source["Outputs"]


def test_the_packaged_template_passes_the_linter(package: Path, tmp_path: Path) -> None:
    _, template, _, _ = release(package, "arm64", tmp_path / "dist")
    linter = Path(sys.executable).parent / "cfn-lint"

    linted = subprocess.run([linter, template], capture_output=True, text=True, check=False)  # noqa: S603 (fixed words)

    assert (linted.returncode, linted.stdout) == (0, "")


def test_a_template_that_has_changed_stops_the_release() -> None:
    with pytest.raises(TemplateChanged, match="CodeUri: src/"):
        packaged("Parameters:\n", "key", "0" * 64, "arm64")


def test_the_checksums_are_those_of_the_files(package: Path, tmp_path: Path) -> None:
    *files, sums = release(package, "arm64", tmp_path / "dist")
    checked = subprocess.run(  # noqa: S603 (fixed words)
        ["sha256sum", "--check", "--strict", sums.name],  # noqa: S607 (the one on the path)
        cwd=sums.parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert [line.partition(":")[0] for line in checked.splitlines()] == [file.name for file in files]


def test_the_inventory_has_every_locked_package(package: Path, tmp_path: Path) -> None:
    write_zip(package, tmp_path / "function.zip")
    listed = {
        each["name"]: each["version"] for each in bill_of_materials(tmp_path / "function.zip", "arm64")["components"]
    }
    lines = (ROOT / "src/requirements.txt").read_text().splitlines()

    assert listed == dict(line.rstrip(" \\").split("==") for line in lines if "==" in line)
    assert "boto3" in listed


def test_the_inventory_is_valid_cyclonedx(package: Path, tmp_path: Path) -> None:
    if not SCHEMAS:
        pytest.skip("CycloneDX's schema comes with the environments of make check and make audit, which are not there")
    write_zip(package, tmp_path / "function.zip")
    named = {path.name: msgspec.json.decode(path.read_bytes()) for path in SCHEMAS[0].parent.glob("*.schema.json")}
    resources = [
        (f"{base}{name}", Resource.from_contents(schema, default_specification=DRAFT7))
        for name, schema in named.items()
        for base in ("", "http://cyclonedx.org/schema/")
    ]
    registry: Registry[Any] = Registry().with_resources(resources)
    validator = Draft7Validator(named[SCHEMAS[0].name], registry=registry)
    made = bill_of_materials(tmp_path / "function.zip", "arm64")

    validator.validate(made)
    assert not validator.is_valid({**made, "components": [{"type": "nonsense"}]})


def test_the_repositorys_metadata_fits_the_project_and_its_rules() -> None:
    metadata = read((ROOT / "template.yaml").read_text())["Metadata"]["AWS::ServerlessRepo::Application"]

    assert metadata["SemanticVersion"] == version()
    assert metadata["SpdxLicenseId"] == "Apache-2.0"
    assert (ROOT / metadata["LicenseUrl"]).is_file()
    assert (ROOT / metadata["ReadmeUrl"]).is_file()
    assert len(metadata["Description"]) <= 256
    assert len(metadata["Labels"]) <= 10


@pytest.mark.skipif(not NIGHTLY, reason="two builds take a minute: `make nightly` runs this")
@pytest.mark.timeout(600)
def test_two_builds_give_the_same_files(tmp_path: Path) -> None:
    sums = []
    for name in ("one", "two"):
        command = [sys.executable, "-m", "local.release", "--folder", str(tmp_path / name)]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603 (our own command)
        sums.append((tmp_path / name / "SHA256SUMS").read_text())

    assert sums[0] == sums[1]
    assert sums[0].count("\n") == 3
