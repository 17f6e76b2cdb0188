"""Virtual time, and threads that take turns: one of them runs, and only until its next effect.

An *effect* is anything that somebody else could notice: a call to AWS, a request to Anaplan, a checkpoint. Before each,
its thread pauses for a few virtual milliseconds in which others act, and there, or right after it, it may be killed,
stalled or refused. So what happens between two effects of one invocation is up to the world, and the same seed gives
the same history.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable
from itertools import count
from math import ceil
from random import Random
from threading import Semaphore, Thread
from typing import Literal, TypeVar

from msgspec import Struct

T = TypeVar("T")

EPOCH_MS = 1_795_000_000_000
"""When every history begins: 2026-11-18."""
LATENCIES_MS: tuple[int, ...] = (3, 10, 40, 150, 700)
MOST_EFFECTS = 8_000
"""After this many effects, a history counts as one that never ends; most have a few hundred."""


class Killed(BaseException):
    """Unwinds a thread whose sandbox was killed. Nothing that it still does has an effect."""


class Trouble(Struct, frozen=True):
    """Something that goes wrong at an effect."""

    kind: Literal["crash", "stall", "error"]
    when: Literal["before", "after"]
    effect: str = ""
    """A regular expression, searched for in the effect's name; empty: any."""
    skip: int = 0
    """How many matching effects pass before."""
    count: int = 1
    """How many meet it, one after another."""
    for_good: bool = False
    """With `crash`: the execution is never invoked again."""
    seconds: float = 0
    """How long to `stall`, or how much later than usual the service invokes again after a `crash`."""
    error: str = ""
    """With `error`: AWS's code."""


class Planned:
    """Troubles that wait for their effects."""

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []

    def add(self, trouble: Trouble) -> None:
        """Let an effect meet it."""
        self._waiting.append(_Waiting(trouble, trouble.skip, trouble.count))

    def clear(self) -> None:
        """Cancel the troubles that no effect has met."""
        self._waiting.clear()

    def take(self, effect: str) -> Trouble | None:
        """The trouble that this effect meets, if any; each that waits for such effects counts it."""
        met: _Waiting | None = None
        for waiting in self._waiting:
            if re.search(waiting.trouble.effect, effect) is None:
                continue
            if waiting.skip > 0:
                waiting.skip -= 1
            elif met is None:
                met = waiting
        if met is None:
            return None
        met.count -= 1
        if not met.count:
            self._waiting.remove(met)
        return met.trouble


class _Waiting:
    def __init__(self, trouble: Trouble, skip: int, count: int) -> None:
        self.trouble = trouble
        self.skip = skip
        self.count = count


class Task:
    """A thread that runs while the world waits for it, and waits while the world runs."""

    def __init__(
        self, arn: str, sandbox: object, deadline: int, work: Callable[[], None], ended: Callable[[Task], None]
    ) -> None:
        self.arn = arn
        """The execution that it belongs to."""
        self.sandbox = sandbox
        """What it runs with."""
        self.deadline = deadline
        """Epoch ms; the sandbox is killed then."""
        self.killed = False
        self.doomed = False
        """To be killed at its next turn."""
        self.for_good = False
        """Whether its execution is lost with it."""
        self.back_in = 0.0
        """Seconds until the service invokes again, beyond the usual."""
        self.over = False
        self.ended = ended
        self.go = Semaphore(0)
        self._work = work

    def begin(self, yielded: Semaphore) -> None:
        """Start the thread, which waits for its turn."""

        def run() -> None:
            self.go.acquire()
            try:
                self._work()
            finally:
                self.over = True
                yielded.release()

        Thread(target=run, daemon=True, name="sandbox").start()


class World:
    """The clock, and whose turn it is."""

    def __init__(self, seed: int) -> None:
        self.latencies_ms = LATENCIES_MS
        """How long an effect may take; each value is equally likely."""
        self.now = EPOCH_MS
        self.troubles = Planned()
        self.current: Task | None = None
        self.most_effects = MOST_EFFECTS
        self.effects: list[str] = []
        """The names of all effects so far, in order."""
        self.met = 0
        """How many troubles were met."""
        self.watch: Callable[[str], None] = lambda _: None
        """Called with every effect's name, right after it."""
        self.next_change: Callable[[], float | None] = lambda: None
        """Returns when the next thing happens by itself (epoch seconds)."""
        self.change: Callable[[], None] = lambda: None
        """Makes it happen."""
        self.error: Callable[[str], Exception] = RuntimeError
        """Makes AWS's error of a code."""
        self._random = Random(seed)
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._awaited: list[tuple[int, Callable[[], None]]] = []
        self._number = count()
        self._yielded = Semaphore(0)
        self._tasks: set[Task] = set()

    @property
    def seconds(self) -> float:
        """Now, epoch seconds."""
        return self.now / 1000

    @property
    def busy(self) -> bool:
        """Whether any task has not ended."""
        return bool(self._tasks)

    def at(self, time: int, act: Callable[[], None]) -> None:
        """Do something at a time (epoch ms), in the world's own thread."""
        heapq.heappush(self._agenda, (max(time, self.now), next(self._number), act))

    def in_seconds(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something after so many seconds."""
        self.at(self.now + round(seconds * 1000), act)

    def after_effects(self, number: int, act: Callable[[], None]) -> None:
        """Do something right after this many more effects of any thread."""
        self._awaited.append((len(self.effects) + number, act))

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass, with everything that happens in them."""
        end = self.now + round(seconds * 1000)
        while (time := self._next()) is not None and time <= end:
            self._act(time)
            assert len(self.effects) < self.most_effects, "it never comes to rest"
        self.now = end

    def run(self, task: Task) -> None:
        """Start a task; it runs to its first effect before this returns."""
        self._tasks.add(task)
        task.begin(self._yielded)
        self._give_turn(task)

    def stop(self) -> None:
        """Kill every thread."""
        self._agenda.clear()
        for task in list(self._tasks):
            task.doomed = True
            self._give_turn(task, tell=False)

    def effect(self, name: str, perform: Callable[[], T]) -> T:
        """Carry out an effect. In the world's own thread nothing ever goes wrong."""
        task = self.current
        if task is None:
            return perform()
        self._pause(task, self._random.choice(self.latencies_ms))
        trouble = self.troubles.take(name)
        self.effects.append(name)
        if trouble is not None and trouble.when == "before":
            self._meet(task, trouble)
        result = perform()
        self.watch(name)
        self._act_in_between()
        if trouble is not None and trouble.when == "after":
            self._meet(task, trouble)
        return result

    def sleep(self, seconds: float) -> None:
        """What a thread calls instead of `time.sleep`."""
        if self.current is not None:
            self._pause(self.current, round(seconds * 1000))

    def _act_in_between(self) -> None:
        due = [act for number, act in self._awaited if number <= len(self.effects)]
        self._awaited = [(number, act) for number, act in self._awaited if number > len(self.effects)]
        for act in due:
            self.at(self.now, act)

    def _meet(self, task: Task, trouble: Trouble) -> None:
        self.met += 1
        match trouble.kind:
            case "crash":
                task.killed, task.for_good, task.back_in = True, trouble.for_good, trouble.seconds
                raise Killed
            case "stall":
                self._pause(task, round(trouble.seconds * 1000))
            case "error":
                raise self.error(trouble.error)

    def _pause(self, task: Task, ms: int) -> None:
        if task.killed:
            raise Killed
        self.at(min(self.now + ms, task.deadline), lambda: self._give_turn(task))
        self._yielded.release()
        task.go.acquire()
        task.killed = task.doomed or self.now >= task.deadline
        if task.killed:
            raise Killed

    def _give_turn(self, task: Task, tell: bool = True) -> None:
        self.current = task
        task.go.release()
        self._yielded.acquire()
        self.current = None
        if task.over:
            self._tasks.discard(task)
            if tell:
                task.ended(task)

    def _next(self) -> int | None:
        """When the next thing happens, epoch ms."""
        change = self.next_change()
        times = [ceil(change * 1000)] if change is not None else []
        return min([*times, *(entry[0] for entry in self._agenda[:1])], default=None)

    def _act(self, time: int) -> None:
        self.now = max(self.now, time)
        change = self.next_change()
        if change is not None and ceil(change * 1000) <= time:
            self.change()
            return
        if self._agenda and self._agenda[0][0] <= time:
            heapq.heappop(self._agenda)[2]()
        else:
            self.change()
