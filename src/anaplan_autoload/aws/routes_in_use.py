"""The routes that the function works with, read from the ledger when what it knows is older than 30 seconds."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from anaplan_autoload.domain.routes import Routes
from anaplan_autoload.domain.routes_file.mistakes import RoutesInvalid

if TYPE_CHECKING:
    from anaplan_autoload.aws.routes_store import RoutesStore, Version

FRESH_MS = 30_000
EARLIER_VERSIONS = 10
"""How many versions are tried if the newest cannot be understood and none was read before."""
SHOWN_MISTAKES = 5


class RoutesInUse:
    """What one function instance knows of the routes in the ledger."""

    def __init__(self, store: RoutesStore, reports: tuple[str, str] | None) -> None:
        """`reports`: as for `routes_file.parsing.parse`."""
        self._store = store
        self._reports = reports
        self._read_at: int | None = None
        self._text: str | None = None
        self._trouble_with: Version | None = None
        """The version in use that could not be understood when it was last looked at."""
        self.routes: Routes | None = None
        """Empty if nobody has pushed any yet; None if none of the newest versions can be used."""
        self.version = 0
        """Of `routes`; 0 if there are none."""

    def refresh(self, now: int) -> str | None:
        """Read the routes if what is known is older than 30 seconds; `now` is epoch ms.

        Returns what is wrong with the newest version, in one line; None if that is in use, or nothing was read.
        If it cannot be used, the last version that could stays in use.
        """
        if self._read_at is not None and 0 <= now - self._read_at < FRESH_MS:
            return None
        trouble = self._read()
        self._read_at = now
        return trouble

    def _read(self) -> str | None:
        current = self._store.current()
        if current is None:
            if not self.version and next(self._store.versions(), None) is None:
                self.routes = Routes(())
                return None
            trouble = "the ledger has no routes in use any more (pk routes, sk current). Push the routes again."
        else:
            try:
                self._take(current)
            except RoutesInvalid as error:
                trouble = _in_one_line(error)
            else:
                return None
        if current != self._trouble_with or not self.routes:
            self._trouble_with = current
            self._go_back()
        return trouble

    def _take(self, version: Version) -> None:
        """Start to use a version; raises `RoutesInvalid`."""
        if version.flaw is not None or version.text != self._text:
            self.routes = version.routes(self._reports)
        self._text, self.version = version.text, version.number

    def _go_back(self) -> None:
        """Use the newest version that can be understood, if it is among the last ones.

        It may be newer than what was known: a good version and a bad one may have been pushed since.
        """
        self.routes = self.routes or None
        for version in islice(self._store.versions(), EARLIER_VERSIONS):
            if version.number <= self.version:
                return
            try:
                self._take(version)
            except RoutesInvalid:
                continue
            return


def _in_one_line(error: RoutesInvalid) -> str:
    more = len(error.mistakes) - SHOWN_MISTAKES
    shown = " ".join(map(str, error.mistakes[:SHOWN_MISTAKES]))
    return f"{shown} And {more} more." if more > 0 else shown
