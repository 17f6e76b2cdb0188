"""The documentation matches the code: commands, their help and output, and links."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from anaplan_autoload_cli.commands import COMMANDS
from docs.generate import COLUMNS, PAGE, page
from local.transcripts.page import NAME, Ended, PageFailed, played
from local.transcripts.terminal import Terminal

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "tests/README.md"])
OPERATIONS, ITS_SOURCE = ROOT / "docs/operations.md", ROOT / "local/transcripts/operations.md"
FENCED = re.compile(r"^```.*?^```", re.M | re.S)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.M)


README = ROOT / "README.md"
README_WORDS = 900
README_DEMO_LINES = 10
DEMO_TIME = re.compile(r"^ *\d+\.\d s +")


@pytest.fixture
def help_page(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_PROFILE", "somebody-elses")  # help is the same whatever is set
    return page()


def test_the_help_in_the_docs_is_what_the_commands_print(help_page: str) -> None:
    assert PAGE.read_text(encoding="utf-8") == help_page, (
        "docs/cli.md is not what the commands print; write it again with: .venv/bin/python -m docs.generate"
    )


def test_the_help_in_the_docs_has_every_command_and_fits_a_page(help_page: str) -> None:
    assert [entry.name for entry in COMMANDS if f"\n### {entry.name}\n" not in help_page] == []
    assert [line for block in FENCED.findall(help_page) for line in block.splitlines() if len(line) > COLUMNS] == []
    assert "\x1b" not in help_page


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_are_there(path: Path) -> None:
    broken = [
        match[0]
        for match in LINK.finditer(FENCED.sub("", path.read_text(encoding="utf-8")))
        if "://" not in match[1] and not leads_somewhere(path, match[1], match[2])
    ]
    assert broken == []


def leads_somewhere(page: Path, file: str, anchor: str | None) -> bool:
    target = page.parent / file if file else page
    if anchor is None or not target.is_file():
        return target.exists()
    return anchor in anchors(target.read_text(encoding="utf-8"))


def anchors(text: str) -> set[str]:
    """The names that headings get: small letters, dashes for blanks, no punctuation."""
    headings = HEADING.findall(FENCED.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_is_short_enough_to_be_read() -> None:
    """Code blocks and badges are not counted; everything else is, tables and links included."""
    text = re.sub(r"^ *```.*?^ *```", "", README.read_text(encoding="utf-8"), flags=re.M | re.S)
    assert len(re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text).split()) <= README_WORDS


def test_the_readme_says_what_is_untested_before_it_says_how_to_deploy() -> None:
    headings = HEADING.findall(FENCED.sub("", README.read_text(encoding="utf-8")))
    assert headings.index("Status") < headings.index("Deploy it in five steps")


def test_the_readme_shows_lines_of_the_demo_in_the_order_of_time() -> None:
    blocks = [block.splitlines()[1:-1] for block in FENCED.findall(README.read_text(encoding="utf-8"))]
    [shown] = [lines for lines in blocks if lines and DEMO_TIME.match(lines[0])]
    played_lines = [same_in_every_run(line) for line in (ROOT / "docs/demo.txt").read_text().splitlines()]

    assert len(shown) == README_DEMO_LINES
    assert [line for line in shown if same_in_every_run(line) not in played_lines] == []
    times = [float(line.split()[0]) for line in shown]
    assert times == sorted(times)


def same_in_every_run(line: str) -> str:
    """A line of the demo without its time, and without the ids of versions and runs."""
    return re.sub(r"\b[0-9a-f]{8}\b", "…", DEMO_TIME.sub("", line))


def test_the_badges_say_what_the_project_file_says() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    badges = dict(re.findall(r"!\[(\w+): ([^\]]+)\]", README.read_text(encoding="utf-8")))
    assert badges == {
        "Licence": project["license"],
        "Python": f"{project['requires-python'].removeprefix('>=')} or newer",
    }


def test_tests_that_the_docs_name_exist() -> None:
    named = {
        (module, test)
        for page in sorted((ROOT / "docs").rglob("*.md"))
        for module, test in re.findall(r"(test_\w+)::(test_\w+)", page.read_text())
    }
    defined = {
        (path.stem, test)
        for path in (ROOT / "tests").rglob("test_*.py")
        for test in re.findall(r"def (test_\w+)\(", path.read_text())
    }

    assert named and named - defined == set()


def test_modules_and_functions_that_the_architecture_names_exist() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w[\w/]*\.py)`(?:: (?:the table at )?`(\w+)`)?", text)
    missing = [(file, name) for file, name in named if not any(defines(path, name) for path in modules(file))]
    assert len(named) > 50 and missing == []


def modules(file: str) -> list[Path]:
    """The modules that a path on the page may mean."""
    package = ROOT / "src/anaplan_autoload"
    folders = (ROOT, ROOT / "src", package, package / "domain/routes_file")
    return [folder / file for folder in folders if (folder / file).is_file()]


def defines(path: Path, name: str) -> bool:
    return re.search(rf"^ *(?:(?:def|class) )?{name}\b", path.read_text(encoding="utf-8"), re.M) is not None


def test_the_operations_page_was_written_from_its_source() -> None:
    written = iter(OPERATIONS.read_text(encoding="utf-8").splitlines())
    source = list(shown_lines(ITS_SOURCE.read_text(encoding="utf-8")))
    missing = [line for line in source if not any(re.fullmatch(line, found) for found in written)]
    assert missing[:1] == [], "write docs/operations.md again with: .venv/bin/python -m local.transcripts"


def test_the_operations_page_has_no_sentence_that_its_source_lacks() -> None:
    """Such a sentence, written into the page by hand, would be lost when the page is written again."""
    source = "\n".join(shown_lines(ITS_SOURCE.read_text(encoding="utf-8")))
    prose = re.sub(r"^```.*?^```$", "", OPERATIONS.read_text(encoding="utf-8"), flags=re.M | re.S).splitlines()
    assert [line for line in prose if re.escape(line) not in source and "autoload-" not in line] == []


def shown_lines(source: str) -> Iterator[str]:
    """Patterns of the lines that a source has in common with its page, in order: prose and commands."""
    in_block = False
    for line in source.splitlines():
        if line.startswith("```"):
            in_block = line == "```console"
        if line and not line.startswith("<!-- do: ") and not (in_block and line[0] in "<=~!"):
            yield r"\S+".join(re.escape(part) for part in NAME.split(line)[::2])


def test_the_operations_page_says_nothing_of_the_machine_that_it_was_written_on() -> None:
    assert re.findall(r"/(?:home|root|tmp|work|Users)/\S*", OPERATIONS.read_text(encoding="utf-8")) == []


class Room:
    """A stage with a shell in an empty directory, on which a bell can be rung."""

    def __init__(self, directory: Path) -> None:
        self.names = {"file": "names.txt"}
        self._directory = directory
        self._terminal = Terminal(directory, {"PATH": "/usr/bin:/bin"})

    def run(self, line: str, answers: tuple[str, ...]) -> Ended:
        return self._terminal.run(line, answers)

    def do(self, name: str) -> str | None:
        (self._directory / "bells.txt").write_text(f"{name}\n")
        return "A bell rings." if name == "loud" else None


def test_a_page_shows_its_commands_with_what_they_print(tmp_path: Path) -> None:
    source = (
        "# Title\n\n<!-- do: loud -->\n\nProse.\n\n<!-- do: quiet -->\n\n"
        "```console\n$ cat bells.txt\n~ quiet\n! later\n$ cat bells.txt\n"
        '$ read -p "Name: " name && echo $name | tee {file}\n< Ada\n$ cat nowhere\n= 1\n```\nEnd.\n'
    )
    assert played(source, Room(tmp_path)) == (
        "# Title\n\nA bell rings.\n\nProse.\n\n```console\n$ cat bells.txt\nquiet\n$ cat bells.txt\nlater\n"
        '$ read -p "Name: " name && echo $name | tee names.txt\nName: Ada\nAda\n'
        "$ cat nowhere\ncat: nowhere: No such file or directory\n```\nEnd.\n"
    )


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("$ exit 3", "exit code 3, not 0"),
        ("$ echo loaded\n~ failed", "'failed' is not in what it printed"),
        ("$ cat {nothing}", "nothing is known under the name nothing"),
        ("$ echo done\n< y", "it did not ask for"),
    ],
    ids=["exit code", "output", "name", "answer"],
)
def test_a_page_whose_commands_print_something_else_is_not_written(tmp_path: Path, block: str, reason: str) -> None:
    with pytest.raises(PageFailed, match=reason):
        played(f"```console\n{block}\n```\n", Room(tmp_path))


def test_a_line_that_means_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'echo loaded' is neither a command nor about one"):
        played("```console\necho loaded\n```\n", Room(tmp_path))
