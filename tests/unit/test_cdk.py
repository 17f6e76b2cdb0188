"""The CDK example: what it synthesizes is the release's template and zip, untouched. `make test-cdk` runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.release.package import release

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-cdk/bin/python"
SUFFIX = 36
"""As many characters CloudFormation adds to the stack's name to make the nested stack's, which the function has too."""
RANDOM = 13
"""As many of them are random."""

pytestmark = pytest.mark.skipif(
    not PYTHON.exists() or shutil.which("node") is None,
    reason="the CDK example needs Node.js and an environment of its own: make test-cdk",
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example beside a small release, as in a checkout after `make package`."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "module.py").write_text("print('here')\n")
    release(package, "arm64", tmp_path / "dist")
    shutil.copytree(ROOT / "deploy/cdk", tmp_path / "deploy/cdk")
    return tmp_path


def synthesized(project: Path, context: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What `cdk synth` does, without its command line."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST")},
        "CDK_OUTDIR": str(project / "cdk.out"),
        "CDK_CONTEXT_JSON": json.dumps(context),
        "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
    }
    return subprocess.run(  # noqa: S603 (our own words)
        [PYTHON, "app.py"], cwd=project / "deploy/cdk", env=environment, capture_output=True, text=True, timeout=100
    )


def test_the_template_and_the_zip_are_those_of_the_release(project: Path) -> None:
    ended = synthesized(project, {"email": "ada@example.com"})
    assert ended.returncode == 0, ended.stderr
    stack: Any = json.loads((project / "cdk.out/anaplan-autoload.template.json").read_text())
    [(name, nested)] = [
        (name, each) for name, each in stack["Resources"].items() if each["Type"] == "AWS::CloudFormation::Stack"
    ]
    parameters = nested["Properties"]["Parameters"]
    shipped = {path.suffix: path.read_bytes() for path in (project / "cdk.out").glob("asset.*")}
    released = {path.suffix: path.read_bytes() for path in (project / "dist").glob("*arm64.[zy]*")}

    assert shipped == released
    assert nested["Properties"]["TemplateURL"]["Fn::Sub"].endswith(".yaml")
    assert parameters["AlertEmail"] == "ada@example.com"
    assert parameters["CodeKey"].endswith(".zip")
    assert parameters.keys() == {"AlertEmail", "CodeBucket", "CodeKey"}
    assert len(f"-{name}-") + RANDOM == SUFFIX, "docs/install.md says how long a name may be"
    assert {"InboxBucketName", "SecretArn", "StackName"} <= stack["Outputs"].keys()


def test_without_a_release_it_says_how_to_make_one(project: Path) -> None:
    shutil.rmtree(project / "dist")
    ended = synthesized(project, {})
    assert ended.returncode == 1
    assert "Call make package first" in ended.stderr
