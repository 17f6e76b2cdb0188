"""The package that `sam build` makes: the function and what it runs on, for its platform, and nothing else."""

from __future__ import annotations

import ast
import json
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import botocore
import pytest
from botocore.regions import EndpointResolver

pytestmark = pytest.mark.timeout(600)  # a first build downloads the wheels

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "anaplan_autoload"
UNZIPPED_LIMIT = 250 * 1024**2
"""Bytes; Lambda's own. Far from it, as what grows unnoticed slows every cold start."""
EXPECTED_LIMIT = 35_000_000
ZIPPED_LIMIT = 12_000_000
SERVICES = {"dynamodb", "events", "lambda", "s3", "secretsmanager", "sns"}
"""Those that the function makes clients of."""
MACHINES = {"arm64": (183, "aarch64"), "x86_64": (62, "x86_64")}
"""Architecture → its number in an ELF header, and its name in the name of a wheel."""


HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
"""This Python's version, as pip and the Makefile call it."""


def build(artifacts: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Build as `sam build` does it, without `sam`."""
    make = ["make", "build-Autoload", f"ARTIFACTS_DIR={artifacts}", f"PYTHON={sys.executable}", *options]
    return subprocess.run(make, cwd=ROOT / "src", capture_output=True, text=True, check=False)  # noqa: S603


@pytest.fixture(params=MACHINES)
def architecture(request: pytest.FixtureRequest) -> str:
    """What the template's parameter `Architecture` may be."""
    return str(request.param)


@pytest.fixture(scope="session")
def packages() -> dict[str, Path]:
    """The packages built so far, by architecture: tests come in any order, and a build takes a quarter of a minute."""
    return {}


@pytest.fixture
def package(architecture: str, packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package for one architecture."""
    if architecture not in packages:
        artifacts = tmp_path_factory.mktemp("package")
        built = build(artifacts, f"ARCHITECTURE={architecture}")
        assert built.returncode == 0, built.stderr
        packages[architecture] = artifacts
    return packages[architecture]


@pytest.fixture(scope="session")
def package_for_here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package for this machine and this Python, which compiles its modules."""
    if platform.machine() not in ("aarch64", "x86_64"):
        pytest.skip("the function runs on arm64 and x86_64 only")
    artifacts = tmp_path_factory.mktemp("package_for_here")
    architecture = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    built = build(artifacts, f"ARCHITECTURE={architecture}", f"PYTHON_VERSION={HERE}")
    assert built.returncode == 0, built.stderr
    return artifacts


def compile_package(package: Path, *version_and_python: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `make` does last."""
    return subprocess.run(  # noqa: S603
        [sys.executable, ROOT / "src/bytecode.py", package, *version_and_python],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def run_in(package: Path, program: str, *arguments: str) -> str:
    """What a program prints that imports from a package."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "-B", "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def bytecode(package: Path) -> dict[str, bytes]:
    """The bytecode files of a package, by their names in it."""
    return {file.relative_to(package).as_posix(): file.read_bytes() for file in package.rglob("*.pyc")}


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
    modules -= {"__pycache__"}  # bytecode of modules that are no packages, where the build found the function's Python

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
        "s3transfer",
        "six",
        "typing_extensions",
        "tzdata",
        "urllib3",
    }


def test_time_zones_are_packed(package: Path) -> None:
    zones = package / "tzdata" / "zoneinfo"

    assert all((zones / name).read_bytes().startswith(b"TZif") for name in ("Europe/London", "Asia/Kolkata", "UTC"))


def test_the_function_is_packed_whole(package: Path) -> None:
    def files(folder: Path) -> set[Path]:
        return {
            path.relative_to(folder)
            for path in folder.rglob("*")
            if path.is_file() and path.suffix not in (".pyc", ".typed")
        }

    assert files(package / "anaplan_autoload") == files(SOURCE)


def test_a_routes_file_beside_the_function_is_packed_with_it(tmp_path: Path) -> None:
    """For the variable `ROUTES_FILE`. The recipe is only read here: it would pack the dependencies as well."""
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / "src" / name, tmp_path / name)
    make = ["make", "--dry-run", "build-Autoload", "ARTIFACTS_DIR=/artifacts"]

    def recipe() -> str:
        return subprocess.run(make, cwd=tmp_path, capture_output=True, text=True, check=True).stdout  # noqa: S603

    assert "routes.toml" not in recipe()
    (tmp_path / "routes.toml").touch()
    assert 'cp -R anaplan_autoload routes.toml "/artifacts"' in recipe()


def test_everything_that_the_function_imports_is_packed(package: Path) -> None:
    packed = {path.name.partition(".")[0] for path in package.iterdir()}
    imported = {name for file in SOURCE.rglob("*.py") for name in imports(file)}

    assert imported - sys.stdlib_module_names - packed == set()


def test_everything_compiled_is_for_python_3_13_on_the_architecture(package: Path, architecture: str) -> None:
    compiled = list(package.rglob("*.so"))
    number, name = MACHINES[architecture]

    assert compiled
    for file in compiled:
        assert struct.unpack_from("<H", file.read_bytes(), 18) == (number,), file.name
        assert f".cpython-313-{name}" in file.name or ".abi3" in file.name, file.name
    assert all(name.endswith(".cpython-313.pyc") for name in bytecode(package))


def test_a_cold_start_compiles_nothing(package_for_here: Path) -> None:
    program = """
import gc, os, sys, anaplan_autoload.handler, anaplan_autoload.page.widget
if not gc.isenabled():
    print("the garbage collector is off")
for module in list(sys.modules.values()):
    cached = getattr(module, "__cached__", None)
    if cached and cached.startswith(sys.argv[1]) and not os.path.exists(cached):
        print(module.__name__)
"""
    assert run_in(package_for_here, program, str(package_for_here)) == ""


def test_bytecode_is_the_same_each_time_and_names_no_folder_of_the_build(
    package_for_here: Path, tmp_path: Path
) -> None:
    first = bytecode(package_for_here)
    other = tmp_path / "other"
    shutil.copytree(package_for_here, other, ignore=shutil.ignore_patterns("__pycache__"))
    compiled = compile_package(
        other, HERE, PYTHONHASHSEED="7", PYTHONOPTIMIZE="1", PYTHONPYCACHEPREFIX=str(tmp_path / "elsewhere")
    )

    assert (compiled.returncode, compiled.stdout) == (0, "")
    assert bytecode(other) == first
    assert all(file[4:8] == b"\1\0\0\0" for file in first.values()), "Python need not compare it with the source"
    assert not [name for name, file in first.items() if str(package_for_here).encode() in file]
    handler = first[f"anaplan_autoload/__pycache__/handler.{sys.implementation.cache_tag}.pyc"]
    assert b"/var/task/anaplan_autoload/handler.py" in handler


def test_a_build_without_a_python_that_works_says_what_it_costs(tmp_path: Path) -> None:
    (tmp_path / "python3.99").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "python3.99").chmod(0o755)
    (tmp_path / "module.py").touch()
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"

    built = compile_package(tmp_path, "3.99", "", PATH=path)
    assert (built.returncode, built.stderr, bytecode(tmp_path)) == (0, "", {})
    assert built.stdout.count("\n") == 1
    assert "about three times as long" in built.stdout and "FUNCTION_PYTHON=/path/to/python3.99" in built.stdout

    for python in ("python3.99", sys.executable, "/no/python"):
        named = compile_package(tmp_path, "3.99", python, PATH=path)
        assert (named.returncode, named.stdout) == (1, "")
        assert f"FUNCTION_PYTHON={python} is no Python 3.99 that works" in named.stderr


def test_a_module_that_cannot_be_compiled_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("no module\n")
    compiled = compile_package(tmp_path, HERE, sys.executable)

    assert compiled.returncode == 1
    assert "module.py" in compiled.stdout and "cannot be compiled" in compiled.stderr


def test_the_package_stays_small(package: Path, package_for_here: Path, tmp_path: Path) -> None:
    for each in (package, package_for_here):  # the second has bytecode everywhere
        size = sum(path.stat().st_size for path in each.rglob("*") if path.is_file())
        zipped = Path(shutil.make_archive(str(tmp_path / "package"), "zip", each))

        assert size < EXPECTED_LIMIT < UNZIPPED_LIMIT
        assert zipped.stat().st_size < ZIPPED_LIMIT


def test_only_the_services_that_the_function_calls_are_described(package: Path) -> None:
    described = {path.name for path in (package / "botocore/data").iterdir() if path.is_dir()}

    assert described == SERVICES


def test_the_endpoints_of_these_services_are_all_there(package: Path) -> None:
    packed, whole = (
        EndpointResolver(json.loads((data / "endpoints.json").read_text()))
        for data in (package / "botocore/data", Path(botocore.__file__).parent / "data")
    )

    for service in SERVICES:
        assert whole.get_available_endpoints(service)
        for partition in whole.get_available_partitions():
            regions = whole.get_available_endpoints(service, partition, allow_non_regional=True)
            assert packed.get_available_endpoints(service, partition, allow_non_regional=True) == regions
            assert [packed.construct_endpoint(service, region) for region in regions] == [
                whole.construct_endpoint(service, region) for region in regions
            ]


def test_the_package_makes_clients_of_these_services(package_for_here: Path) -> None:
    program = "import boto3, sys; [print(boto3.client(name).meta.endpoint_url) for name in sys.argv[1:]]"
    made = run_in(package_for_here, program, *sorted(SERVICES)).splitlines()

    assert made == [f"https://{service}.eu-west-1.amazonaws.com" for service in sorted(SERVICES)]


def test_names_versions_and_licences_of_what_is_packed_stay(package: Path) -> None:
    assert all((distribution / "METADATA").exists() for distribution in package.glob("*.dist-info"))
    assert list(package.glob("botocore-*.dist-info/**/LICENSE*"))


def test_a_build_without_a_service_that_the_code_calls_fails(package: Path, tmp_path: Path) -> None:
    copy = tmp_path / "package"
    shutil.copytree(package, copy)
    shutil.rmtree(copy / "botocore/data/sns")

    pruned = subprocess.run(  # noqa: S603
        [sys.executable, ROOT / "src/prune.py", copy], capture_output=True, text=True, check=False
    )

    assert pruned.returncode == 1
    assert pruned.stderr == "prune.py: botocore describes no service named sns\n"


def test_the_function_works_as_it_is_packed(package_for_here: Path, tmp_path: Path) -> None:
    """The main path's tests run against a package for this machine and this Python, as a folder on the path."""
    # moto describes more services than the function calls, and botocore looks for them here too.
    models = tmp_path / "home/.aws/models"
    models.parent.mkdir(parents=True)
    models.symlink_to(Path(botocore.__file__).parent / "data")

    chosen = ("tests/integration/test_main_path.py", "-k", "announced or each_upload or log")
    found = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-o", "pythonpath=.", *chosen],
        cwd=ROOT,
        env={**os.environ, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(package_for_here)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout
    assert " passed" in found.stdout


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
