"""The package that `sam build` makes: the function and what it runs on, for its platform, and nothing else."""

from __future__ import annotations

import ast
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Built once, by one worker; a first build downloads the wheels.
pytestmark = [pytest.mark.xdist_group("package"), pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "anaplan_autoload"
UNZIPPED_LIMIT = 250 * 1024**2
"""Bytes; Lambda's own. Far from it, as what grows unnoticed slows every cold start."""
EXPECTED_LIMIT = 70 * 1024**2
EM_AARCH64 = 183


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `sam build` does it, without `sam`."""
    artifacts = tmp_path_factory.mktemp("package")
    make = ["make", "build-Autoload", f"ARTIFACTS_DIR={artifacts}", f"PYTHON={sys.executable}"]
    built = subprocess.run(make, cwd=ROOT / "src", capture_output=True, text=True, check=False)  # noqa: S603
    assert built.returncode == 0, built.stderr
    return artifacts


def pins(file: str) -> dict[str, str]:
    """Distribution to version, as a locked file has them."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", (ROOT / file).read_text(), re.MULTILINE))


def imports(file: Path) -> Iterator[str]:
    """The top-level packages that a module names in its imports, those for type checkers aside."""
    for node in ast.walk(_without_type_checking(ast.parse(file.read_text()))):
        match node:
            case ast.Import(names=names):
                yield from (name.name.partition(".")[0] for name in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]


def _without_type_checking(tree: ast.Module) -> ast.Module:
    def kept(node: ast.stmt) -> bool:
        return not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")

    return ast.Module([node for node in tree.body if kept(node)], [])


def test_the_package_holds_the_function_and_its_runtime_dependencies_only(package: Path) -> None:
    distributions = {
        re.sub(r"[-_.]+", "-", path.name.rsplit("-", 1)[0]).lower(): path.name.rsplit("-", 1)[1]
        for path in (file.with_suffix("") for file in package.glob("*.dist-info"))
    }
    modules = {path.name.partition(".")[0] for path in package.iterdir() if path.suffix != ".dist-info"}

    assert distributions == pins("src/requirements.txt")
    assert modules == {
        "_cffi_backend",
        "anaplan_autoload",
        "aws_durable_execution_sdk_python",
        "aws_lambda_powertools",
        "boto3",
        "botocore",
        "cffi",
        "cryptography",
        "dateutil",
        "jmespath",
        "msgspec",
        "pycparser",
        "routes",  # routes.toml
        "s3transfer",
        "six",
        "typing_extensions",
        "urllib3",
    }


def test_the_function_is_packed_whole_with_its_routes_beside_it(package: Path) -> None:
    def files(folder: Path) -> set[Path]:
        return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}

    assert files(package / "anaplan_autoload") == files(SOURCE)
    assert (package / "routes.toml").read_text() == (ROOT / "src/routes.toml").read_text()


def test_everything_that_the_function_imports_is_packed(package: Path) -> None:
    packed = {path.name.partition(".")[0] for path in package.iterdir()}
    imported = {name for file in SOURCE.rglob("*.py") for name in imports(file)}

    assert imported - sys.stdlib_module_names - packed == set()


def test_everything_compiled_is_for_python_3_13_on_arm64(package: Path) -> None:
    compiled = list(package.rglob("*.so"))

    assert compiled
    for file in compiled:
        assert struct.unpack_from("<H", file.read_bytes(), 18) == (EM_AARCH64,), file.name
        assert ".cpython-313-aarch64" in file.name or ".abi3" in file.name, file.name


def test_the_package_stays_small(package: Path) -> None:
    size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())

    assert size < EXPECTED_LIMIT < UNZIPPED_LIMIT
    assert not list(package.rglob("__pycache__"))


def test_what_is_tested_is_what_is_packed() -> None:
    tested = pins("requirements/dev.txt")

    assert {name: tested.get(name) for name in pins("src/requirements.txt")} == pins("src/requirements.txt")


@pytest.mark.parametrize("file", sorted(path.name for path in (ROOT / "requirements").glob("*.txt")))
def test_every_pin_is_exact_and_hashed_and_names_no_host(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text()
    requirements = re.split(r"\n(?=[^\s#])", text)[1:]

    assert requirements
    assert all("==" in each and "--hash=sha256:" in each for each in requirements)
    assert "://" not in text
