"""Put Python's bytecode into the function's package: `python bytecode.py <folder> <version> [<the Python to use>]`.

Lambda's folder of code cannot be written to, so every cold start would compile each module that it imports. AWS advises
against `__pycache__` in a package, because bytecode from another architecture or operating system "might not be
compatible" (https://docs.aws.amazon.com/lambda/latest/dg/python-package.html#python-package-pycache). Python's own
documentation calls it platform-independent (https://docs.python.org/3/tutorial/modules.html#compiled-python-files).
What it depends on is Python's version: each file begins with it, and Python compiles the source where that is another.
So only that version may compile, and the sources stay in the package.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

NEVER_IMPORTED = r"(cffi|pycparser|aws_lambda_powertools/utilities/(?!__init__|jmespath_utils))"
"""What the function never imports, as a pattern: its bytecode would be a fifth of it all."""
WITHOUT = (
    "The package has no bytecode, because no Python {version} that works was found. A cold start compiles all that it "
    "imports, and takes about three times as long. Install Python {version}, or name it: "
    "FUNCTION_PYTHON=/path/to/python{version}"
)


def works(python: str, version: str) -> bool:
    """Whether a program is a CPython of that version. It is tried: a launcher on the path may lead nowhere."""
    asked = [python, "-c", "import sys; print(sys.implementation.cache_tag)"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, check=False).stdout  # noqa: S603
    except OSError:
        return False
    return answer.strip() == "cpython-" + version.replace(".", "")


def compile_package(package: str, python: str) -> None:
    """Compile the modules. The same sources give the same bytes, which name no folder of this machine.

    A file's name in a traceback is the one in Lambda. Raises `SystemExit` when a module cannot be compiled.
    """
    names = ["-s", package, "-p", "/var/task", "-x", f"^{re.escape(package)}/{NEVER_IMPORTED}", package]
    command = [python, "-m", "compileall", "-q", "-o", "0", "--invalidation-mode", "unchecked-hash", *names]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    compiled = subprocess.run(command, env={**bare, "PYTHONHASHSEED": "0"}, check=False)  # noqa: S603
    if compiled.returncode:
        sys.exit("bytecode.py: a module cannot be compiled; compileall says above which, and why.")


def main(package: str, version: str, named: str = "") -> None:
    """Compile with the Python that is named, or else with one that is found; without any, say what that costs.

    It is printed as output, because `sam build` shows no error messages of a build that succeeds.
    """
    tried = [named] if named else [sys.executable, f"python{version}"]
    python = next((each for each in tried if works(each, version)), None)
    if python:
        compile_package(os.path.abspath(package), python)
    elif named:
        sys.exit(f"bytecode.py: FUNCTION_PYTHON={named} is no Python {version} that works. Name one, or leave it out.")
    else:
        print(WITHOUT.format(version=version))  # noqa: T201 (what a build prints)


if __name__ == "__main__":
    main(*sys.argv[1:])
