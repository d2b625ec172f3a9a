"""How fast a run is, and how long the rest takes: one rate a stage, which is shown and which the forecast rests on."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.account.tally import Tally


@dataclass(frozen=True)
class Pace:
    """What models and pair tasks do a second while they work, all of them together; None before they have done any."""

    sequences: float | None
    pairs: float | None


@dataclass(frozen=True)
class Forecast:
    """Seconds until the run ends. `at_least`: the pairs have shown no pace yet, and are not in it."""

    seconds: float
    at_least: bool

    def __str__(self) -> str:
        whole = round(self.seconds)
        clock = f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
        return f"at least {clock}" if self.at_least else clock


def pace_of(tally: Tally) -> Pace:
    """The pace so far, from the seconds that workers report: waiting for others slows no stage down.

    >>> tally = Tally(models=2, sequences=10)
    >>> tally.seconds["forward"] = 5.0
    >>> pace_of(tally)
    Pace(sequences=4.0, pairs=None)
    """
    forward, pairs = tally.seconds["forward"], sum(tally.seconds[stage] for stage in tally.pair_stages)
    return Pace(
        tally.sequences * tally.models / forward if tally.sequences and forward else None,
        tally.pairs * tally.pair_tasks / pairs if tally.pairs and pairs else None,
    )


def forecast(tally: Tally) -> Forecast | None:
    """How long the rest will take at the pace so far; None before a shard is prepared and a model has done some work.

    And None where the model has nothing left to do and the pairs have shown no pace yet.

    Shards that are not prepared yet count like those that are. Where there are more shards to come, the models work on
    the next one while pairs of the last are computed, so that the slower stage sets the time.
    """
    pace = pace_of(tally)
    if not tally.shards or not tally.shards_prepared or pace.sequences is None:
        return None
    share = min(1.0, tally.shards_prepared / tally.shards)
    forward = max(0.0, tally.sequences_expected / share - tally.sequences) / pace.sequences
    left = tally.pairs_expected / share - tally.pairs
    if pace.pairs is None and left > 0 and forward < 1:
        return None  # what is left is of unknown length, and "at least nothing" says less than that
    if pace.pairs is None:
        return Forecast(forward, at_least=left > 0)
    pairs = max(0.0, left) / pace.pairs
    to_come = max(1, tally.shards - tally.shards_committed)
    if tally.side_by_side:
        return Forecast(max(forward, pairs) + min(forward, pairs) / to_come, at_least=False)
    return Forecast(forward + pairs, at_least=False)


def share_done(tally: Tally) -> float | None:
    """How much of the run's time is over, 0 to 1; None while the time left is not known, or only its least.

    >>> share_done(Tally()) is None
    True
    """
    left = forecast(tally)
    if left is None or left.at_least:
        return None
    return tally.elapsed / (tally.elapsed + left.seconds)
