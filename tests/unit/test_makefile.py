"""What `make` says if it cannot make its environment."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLD = '#!/bin/sh\ncase "$2" in *print*) echo False ;; *) exit 1 ;; esac\n'
NO_PYTHON = "#!/bin/sh\nexit 0\n"


@pytest.mark.parametrize(
    ("program", "advice"),
    [
        (None, "Cannot find the program {}. Name a Python 3.11 or newer"),
        (OLD, "{} is not Python 3.11 or newer. Name one that is"),
        (NO_PYTHON, "{} is not Python 3.11 or newer. Name one that is"),
    ],
    ids=["missing", "too old", "another program"],
)
def test_a_python_that_cannot_be_used_is_named_with_what_to_do(
    tmp_path: Path, program: str | None, advice: str
) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    python = tmp_path / "some python"
    if program is not None:
        python.write_text(program)
        python.chmod(0o755)

    made = subprocess.run(  # noqa: S603  (our own words)
        ["make", ".venv", f"PYTHON={python}"],  # noqa: S607  (the make on the path)
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert made.returncode != 0
    assert advice.format(python) in made.stderr and "make PYTHON=/path/to/python3" in made.stderr
    assert "python3-venv" not in made.stderr
    assert not (tmp_path / ".venv").exists()
