"""The commit protocol as a small machine, and a search through every order in which its steps can happen.

The storage is a log and a set of files. Drivers, a repair and a compaction take one step at a time, each one operation
of the storage; between any two steps any of them may be frozen for as long as one likes, or die, which is the same as
not being chosen again. Whoever wants a lock may take it at any moment: the model does not trust heartbeats. What a log
means is asked of the store's own `LogState`, so that the model and the code cannot drift apart.

Each of the six `Rules` can be taken out, to see that the search then finds what goes wrong.

    python -m tests.store.protocol_model
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from store.books import BookStatus
from store.entries import (
    MAINTENANCE,
    PURPOSES,
    REPAIR,
    RUN,
    Attempt,
    CommitRecord,
    CommittedBook,
    Entry,
    FileReceipt,
    Note,
    Owner,
    Removal,
    Term,
    Verdict,
)
from store.keys import ShardKey
from store.log import LogState

Log = tuple[Entry, ...]


@dataclass(frozen=True)
class Rules:
    """What the protocol rests on. `fence`: an entry is published under the number after the last one its writer read.

    `own_names`: no two runs share the name of a file. `sweep`: a repair appends a note between listing files and
    removing them. `condemn`: a compaction says in the log what it is about to remove. `carry`: a compaction says of its
    rows which attempt they are of, so that a removal it had not read of holds for them too. `honour`: a driver commits
    no book that was removed, unless it was told to after that removal.
    """

    fence: bool = True
    own_names: bool = True
    sweep: bool = True
    condemn: bool = True
    carry: bool = True
    honour: bool = True


class World(NamedTuple):
    """The storage, and where each actor stands. `damaged` are files that have rotted; `rot` more may do so."""

    log: Log
    files: frozenset[str]
    actors: tuple[Actor, ...]
    damaged: frozenset[str] = frozenset()
    rot: int = 0


class Actor(NamedTuple):
    """Where one process stands: the next step of its program, how much of the log it has read, and what it holds."""

    name: str
    program: str
    step: int = 0
    known: int = 0
    term: int = 0
    shards: tuple[frozenset[str], ...] = ()
    chosen: tuple[str, ...] = ()
    replaced: tuple[int, ...] = ()
    words: tuple[Attempt, ...] = ()
    retaken: int = 0

    @property
    def done(self) -> bool:
        """Whether it has ended, by itself or because it found another term."""
        return self.step < 0

    def next(self, **changes: object) -> Actor:
        """The actor at its next step."""
        return self._replace(step=self.step + 1, **changes)


@functools.cache
def state_of(log: Log) -> LogState:
    """What a log means, by the store's own reading of it."""
    state = LogState()
    for number, entry in enumerate(log, 1):
        state.apply(number, entry)
    return state


Outcome = tuple[World, Actor]
Program = Callable[[World, Actor, Rules], Outcome]


def _append(
    world: World, actor: Actor, rules: Rules, make: Callable[[LogState], Entry | None], purpose: str
) -> Outcome:
    """Publish an entry under the number after the last one that was read; where it is taken, read on instead."""
    if rules.fence and len(world.log) != actor.known:
        return world, actor._replace(known=len(world.log))
    known = state_of(world.log[: actor.known])
    begins = actor.term == 0
    if not begins and any(known.terms[name].number != actor.term for name in PURPOSES[purpose]):
        return world, actor._replace(step=-1)
    entry = make(known)
    if entry is None:
        return world, actor.next()
    number, term = len(world.log) + 1, actor.term
    if not rules.fence and not begins:  # a writer that knows of no fence knows of no terms
        term = state_of(world.log).terms[PURPOSES[purpose][0]].number
    log = (*world.log, entry.numbered(number, term))
    return world._replace(log=log), actor.next(known=number, term=actor.term or number)


def _begin(purpose: str) -> Callable[[World, Actor, Rules], Outcome]:
    def begin(world: World, actor: Actor, rules: Rules) -> Outcome:
        owner = Owner(actor.name, "", "", 1, "", 0.0, 0.0)
        return _append(world, actor, rules, lambda _: Term(purpose, owner), purpose)

    return begin


def _read(world: World, actor: Actor, rules: Rules) -> Outcome:
    return world, actor.next(known=len(world.log))


def _file(shard: frozenset[str], run: str, rules: Rules) -> str:
    return f"{'+'.join(sorted(shard))}-{run if rules.own_names else 'any'}"


def _record(words: Iterable[Attempt], file: str, run: str, replaces: tuple[int, ...] = ()) -> CommitRecord:
    in_order = sorted(words)
    books = tuple(CommittedBook(key, None, key, BookStatus.USED, None, attempted) for key, attempted in in_order)
    held = tuple(key for key, _ in in_order) if replaces else ()
    receipt = FileReceipt(file, 1, 1, "")
    return CommitRecord(ShardKey(file), (receipt,), books, run, committed="-", shards=held, replaces=replaces)


def _publish_shard(world: World, actor: Actor, rules: Rules) -> Outcome:
    if not actor.shards:
        return world, actor._replace(step=-1)
    return world._replace(files=world.files | {_file(actor.shards[0], actor.name, rules)}), actor.next()


def _commit_shard(world: World, actor: Actor, rules: Rules) -> Outcome:
    """Commit the shard, unless a book of it is visible or was removed; then go on with the next one."""
    shard = actor.shards[0]

    def make(state: LogState) -> CommitRecord | None:
        removed = rules.honour and any(state.removed_last(book) > actor.retaken for book in shard)
        if removed or shard & state.used.keys():
            return None
        return _record((Attempt(book, 0) for book in shard), _file(shard, actor.name, rules), actor.name)

    world, after = _append(world, actor, rules, make, RUN)
    if after.step == actor.step + 1:
        after = after._replace(step=actor.step - 1, shards=actor.shards[1:])
    return world, after


def _drop_damaged(world: World, actor: Actor, rules: Rules) -> Outcome:
    def make(state: LogState) -> Note | None:
        bad = tuple(r.number for r in state.live() if {f.path for f in r.files} & world.damaged)
        return Note(Verdict.DROPPED, bad) if bad else None

    return _append(world, actor, rules, make, REPAIR)


def _list_files(world: World, actor: Actor, rules: Rules) -> Outcome:
    return world, actor.next(chosen=tuple(sorted(world.files)))


def _leave_out_known(world: World, actor: Actor, rules: Rules) -> Outcome:
    known = {file.path for record in state_of(world.log).visible() for file in record.files}
    return world, actor.next(chosen=tuple(path for path in actor.chosen if path not in known))


def _sweep(world: World, actor: Actor, rules: Rules) -> Outcome:
    if not rules.sweep:
        return world, actor.next()
    return _append(world, actor, rules, lambda _: Note(Verdict.SWEPT), REPAIR)


def _delete(world: World, actor: Actor, rules: Rules) -> Outcome:
    """Remove one of the chosen files after the other."""
    if not actor.chosen:
        return world, actor.next()
    return world._replace(files=world.files - {actor.chosen[0]}), actor._replace(chosen=actor.chosen[1:])


def _plan_to_retake(world: World, actor: Actor, rules: Rules) -> Outcome:
    """See which attempts at its books were removed; where none was, there is nothing to take again."""
    known = state_of(world.log[: actor.known])
    last = max(known.removed_last(book) for shard in actor.shards for book in shard)
    return world, actor.next(retaken=last) if last else actor._replace(step=-1)


def _remove(world: World, actor: Actor, rules: Rules) -> Outcome:
    """Say that every word on a book does not count any more."""

    def make(state: LogState) -> Removal | None:
        words = {Attempt(b.key, b.attempted) for r in state.live() for b in r.books if not b.is_removed}
        attempts = tuple(sorted(word for word in words if word.key in actor.chosen))
        return Removal(attempts, "-", made="-") if attempts else None

    return _append(world, actor, rules, make, RUN)


def _choose_records(world: World, actor: Actor, rules: Rules) -> Outcome:
    """Write the rows of all commits that were live when the term began into one new file."""
    live = state_of(world.log[: actor.known]).live()
    words = tuple(Attempt(b.key, b.attempted) for record in live for b in record.books if not b.is_removed)
    rows = frozenset(key for key, _ in words)
    if not rows or any({f.path for f in r.files} & world.damaged or r.is_generation for r in live):
        return world, actor._replace(step=-1)
    files = world.files | {_file(rows, actor.name, rules)}
    return world._replace(files=files), actor.next(replaced=tuple(r.number for r in live), shards=(rows,), words=words)


def _publish_generation(world: World, actor: Actor, rules: Rules) -> Outcome:
    rows = actor.shards[0]

    def make(state: LogState) -> CommitRecord | None:
        if not {record.number for record in state.live()}.issuperset(actor.replaced):
            return None
        words = actor.words if rules.carry else [word._replace(attempted=0) for word in actor.words]
        return _record(words, _file(rows, actor.name, rules), actor.name, actor.replaced)

    return _append(world, actor, rules, make, MAINTENANCE)


def _condemn(world: World, actor: Actor, rules: Rules) -> Outcome:
    """Say what is to be removed: what a generation replaces at this moment."""

    def replaced(state: LogState) -> tuple[CommitRecord, ...]:
        generations = [record for record in state.visible() if record.is_generation]
        numbers = {number for record in generations for number in record.replaces} & state.records.keys()
        return tuple(state.records[number] for number in sorted(numbers))

    known = replaced(state_of(world.log[: actor.known]))
    chosen = tuple(file.path for record in known for file in record.files)
    if not known:
        return world, actor._replace(step=-1)
    if not rules.condemn:
        return world, actor.next(chosen=chosen)
    numbers = tuple(record.number for record in known)
    world, after = _append(world, actor, rules, lambda _: Note(Verdict.CONDEMNED, numbers), MAINTENANCE)
    return world, after._replace(chosen=chosen, replaced=numbers) if after.step > actor.step else after


def _forget(world: World, actor: Actor, rules: Rules) -> Outcome:
    return _append(world, actor, rules, lambda _: Note(Verdict.DROPPED, actor.replaced), MAINTENANCE)


PROGRAMS: dict[str, tuple[Program, ...]] = {
    "driver": (_read, _begin(RUN), _publish_shard, _commit_shard),
    "retaker": (_read, _begin(RUN), _plan_to_retake, _publish_shard, _commit_shard),
    "removal": (_read, _remove),
    "repair": (_read, _begin(REPAIR), _drop_damaged, _list_files, _leave_out_known, _sweep, _delete),
    "compaction": (
        _read,
        _begin(MAINTENANCE),
        _choose_records,
        _publish_generation,
        _condemn,
        _delete,
        _forget,
    ),
}


def steps(world: World, rules: Rules) -> Iterator[World]:
    """Every world that one step of one actor, or the rotting of a file of a generation, leads to."""
    for place, actor in enumerate(world.actors):
        program = PROGRAMS[actor.program]
        if actor.done or actor.step >= len(program):
            continue
        after, moved = program[actor.step](world, actor, rules)
        yield after._replace(actors=(*world.actors[:place], moved, *world.actors[place + 1 :]))
    if world.rot:
        for record in state_of(world.log).live():
            if record.is_generation:
                rotten = {file.path for file in record.files}
                yield world._replace(damaged=world.damaged | rotten, rot=world.rot - 1)


def wrong(world: World) -> str | None:
    """What a reader that opens the store at this moment would see that it must not."""
    state = state_of(world.log)
    live = state.live()
    books = [book for record in live for book in record.used]
    if len(set(books)) < len(books):
        return "a book's rows are visible twice"
    if any(set(record.hidden) & set(record.used) for record in live):
        return "rows of a book that was taken again are hidden"
    back = _removed_books(world.log) & set(books)
    if back:
        return f"the removed book {min(back)} is visible again"
    missing = {file.path for record in live for file in record.files} - world.files
    if missing:
        return f"the committed file {min(missing)} is missing"
    if state.damaged:
        return f"an entry is damaged: {state.damaged}"
    return None


def _removed_books(log: Log) -> set[str]:
    """The books that were removed, and not committed since by a driver that was told to take them again."""
    removed: set[str] = set()
    for entry in log:
        if isinstance(entry, Removal):
            removed |= {key for key, _ in entry.attempts}
        elif isinstance(entry, CommitRecord) and not entry.is_generation and entry.run == AGAIN.name:
            removed -= set(entry.used)
    return removed


def lost(before: World, after: World) -> str | None:
    """What a step took away from readers, but for rows whose file has rotted."""
    seen, sees = state_of(before.log), state_of(after.log)
    rotten = {
        book for r in seen.live() if {f.path for f in r.files} & before.damaged for book in r.used
    }  # dropped, to be recomputed
    gone = seen.used.keys() - sees.used.keys() - rotten - _removed_books(after.log)
    return f"the rows of book {min(gone)} are lost" if gone else None


@dataclass(frozen=True)
class Search:
    """What a search came to: the worlds it saw, and the way to the first one that is wrong."""

    worlds: int
    found: str | None = None
    way: tuple[str, ...] = ()


def search(start: World, rules: Rules | None = None) -> Search:
    """Look at every world that can be reached, breadth first, until one is wrong."""
    rules = rules or Rules()
    came_from: dict[World, World | None] = {start: None}
    pending = deque([start])
    while pending:
        world = pending.popleft()
        for after in steps(world, rules):
            if after in came_from:
                continue
            came_from[after] = world
            found = wrong(after) or lost(world, after)
            if found is not None:
                return Search(len(came_from), found, _way(after, came_from))
            pending.append(after)
    return Search(len(came_from))


def _way(world: World | None, came_from: dict[World, World | None]) -> tuple[str, ...]:
    way: list[str] = []
    while world is not None and (before := came_from[world]) is not None:
        moved = [(a, b) for a, b in zip(before.actors, world.actors, strict=True) if a != b]
        way += [f"{a.name}: {PROGRAMS[a.program][a.step].__name__.strip('_')}" for a, _ in moved] or ["a file rots"]
        world = before
    return tuple(reversed(way))


ONE, TWO, BOTH = frozenset({"one"}), frozenset({"two"}), frozenset({"one", "two"})
FIRST = Actor("first", "driver", shards=(BOTH,))
SECOND = Actor("second", "driver", shards=(ONE, TWO))
SAME = Actor("same", "driver", shards=(BOTH,))
FIXER = Actor("fixer", "repair")
COMPACTOR = Actor("compactor", "compaction")
REMOVER = Actor("remover", "removal", chosen=("one",))
AGAIN = Actor("again", "retaker", shards=(ONE,))


def world_of(*actors: Actor, rot: int = 0) -> World:
    """The empty store with these actors before their first step."""
    return World((), frozenset(), actors, rot=rot)


SCENARIOS = {
    "two drivers that group the books differently, and a repair": world_of(FIRST, SECOND, FIXER),
    "two drivers that group the books alike, and a repair": world_of(FIRST, SAME, FIXER),
    "two drivers and a compaction": world_of(FIRST, SECOND, COMPACTOR),
    "a driver, a compaction and a repair, and a file rots": world_of(FIRST, COMPACTOR, FIXER, rot=1),
    "a driver, a compaction, a removal and a driver that takes the book again": world_of(
        FIRST, COMPACTOR, REMOVER, AGAIN
    ),
    "two drivers, a removal and a driver that takes the book again": world_of(
        SECOND, Actor("alone", "driver", shards=(ONE,)), REMOVER, AGAIN
    ),
    "a driver, two compactions and a repair, and a file rots": world_of(
        FIRST, COMPACTOR, COMPACTOR._replace(name="late"), FIXER, rot=1
    ),
    "two drivers, a compaction and a repair": world_of(FIRST, SECOND, COMPACTOR, FIXER),
    "a driver, a compaction, a repair and a removal, and a file rots": world_of(
        FIRST, COMPACTOR, FIXER, REMOVER, rot=1
    ),
}

if __name__ == "__main__":
    for name, world in SCENARIOS.items():
        outcome = search(world)
        print(f"{outcome.worlds:>9,} worlds, {outcome.found or 'none of them wrong'}: {name}")
