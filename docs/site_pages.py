"""Shows the pages at the top of the repository on the docs site too, so that none has to be kept twice."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "tests/README.md": "tests.md",
}
"""Path in the repository → path on the site."""

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of `PAGES`."""
    root = Path(config.config_file_path).parent
    for source, page in PAGES.items():
        text = (root / source).read_text()
        files.append(File.generated(config, page, content=relinked(text, source, config.repo_url)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links from `docs/` to other parts of the repository into links that work on the site."""
    if page.file.src_uri in PAGES.values():
        return markdown  # `on_files` has done it
    return relinked(markdown, f"docs/{page.file.src_uri}", config.repo_url)


def relinked(text: str, source: str, repository: str | None) -> str:
    """The text of the page `source` with links that work on the site.

    A file that is not on the site is linked in the repository. Where that has no address, only the link's text stays.
    """
    site = _site_path(source) or source

    def link(match: re.Match[str]) -> str:
        words, path, anchor = match[1], match[2], match[3] or ""
        target = os.path.normpath(Path(source).parent / path)
        on_site = _site_path(target)
        if on_site is not None:
            return f"[{words}]({os.path.relpath(on_site, Path(site).parent)}{anchor})"
        return f"[{words}]({repository}/blob/main/{target}{anchor})" if repository else words

    return _LINK.sub(link, text)


def _site_path(path: str) -> str | None:
    """The path of a repository's file on the site; None if the site does not have it."""
    if path in PAGES:
        return PAGES[path]
    return path.removeprefix("docs/") if path.startswith("docs/") and not path.endswith(".py") else None
