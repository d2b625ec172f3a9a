"""The answer at the top of a report: three sentences with their intervals, and the evidence for them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from analysis import inference
from reports.data.answer import FOREST_BOOKS, Answers
from reports.data.classes import Classes, quoted
from reports.figures.answer import forest, raw_and_centred, within_and_between
from reports.page.exhibits import Exhibit, Failure, Section, Table, attempt
from reports.sections.class_pairs import parts_of_pairs
from reports.sections.overview import interval_note
from reports.sections.transfer import parts_of_transfer

KEY = "answer"
TITLE = "The answer"

HEADINGS = {
    "layer": "layer",
    "separation": "separation (bits)",
    "separation_interval": "95 % interval",
    "p": "sign-flip p",
    "skewness": "skewness of books",
    "auc": "AUC",
    "r2": "R²",
    "difference": "difference (bits)",
    "difference_interval": "95 % interval",
    "dispersion": "dispersion, first and second",
    "copula": "separation, copula (bits)",
}


def sentences(answers: Answers, model: str) -> tuple[str, ...]:
    """The answer in three sentences: kept apart or not, which is more alike, and of what this speaks."""
    return (_of_separation(answers, model), _of_difference(answers), _of_whom(answers))


def answer_section(answers: Answers, classes: Classes, layer: int, titles: Mapping[str, str] | None = None) -> Section:
    """The figures and tables of the answer; `layer` is the one whose books are shown one by one, by `titles`."""
    first, second = answers.first, answers.second
    makers = (
        ("answer-figure", "The figure of the answer", lambda: _main_exhibit(answers, classes)),
        ("raw-and-centred", "The figure of the difference", lambda: _difference_exhibit(answers, classes)),
        ("forest", "The figure of the books", lambda: _forest_exhibit(answers, layer, titles)),
        ("placebo", "The table of the placebo", lambda: _placebo_table(answers)),
        ("answer-layers", "The table of the answer", lambda: _layer_table(answers)),
    )
    introduction = (
        f"Are two marks of {quoted(first)}, or two of {quoted(second)}, more alike than one of each? "
        + interval_note(answers)
        + (" Beside them stands an exact sign-flip test." if answers.estimator == inference.OVER_BOOKS else "")
    )
    parts: tuple[Exhibit | Table | Failure, ...] = tuple(attempt(key, title, make) for key, title, make in makers)
    return Section(
        KEY,
        TITLE,
        introduction,
        (*parts, *parts_of_transfer(answers, classes.teaching), *parts_of_pairs(answers, layer)),
    )


def facts_of(answers: Answers) -> list[dict[str, object]]:
    """Every estimate with its interval, estimator, n and seed as plain JSON values: an entry a line over the layers."""
    entries = []
    keys = ["quantity", "measure", "first", "second", "unit", "observations", "books", "seed"]
    for key, rows in answers.results.groupby(keys, sort=False):
        entry: dict[str, object] = {
            name: value.item() if hasattr(value, "item") else value for name, value in zip(keys, key, strict=True)
        }
        entry["estimator"] = str(rows["estimator"].iloc[-1])
        entry["layer"] = [int(layer) for layer in rows["layer"]]
        for name in ("estimate", "low", "high", "p", "skewness"):
            entry[name] = [None if pd.isna(value) else float(value) for value in rows[name]]
        entries.append(entry)
    return entries


def _of_separation(answers: Answers, model: str) -> str:
    rows = _deep(answers.of("separation", "mi"))
    both = f"{quoted(answers.first)} and {quoted(answers.second)}"
    if rows.empty:
        return f"Whether {model} keeps {both} apart is not known: no layer has pairs within both and between them."
    least, most = (rows.loc[rows["estimate"].agg(which)] for which in ("idxmin", "idxmax"))
    low, high = (
        f"{row['estimate']:.3f}{unit} (layer {int(row['layer'])}{_interval(row)})"
        for row, unit in ((least, " bits"), (most, ""))
    )
    spread = f"two marks of one class share {low} to {high} more than two marks of different classes"
    if rows["low"].isna().all():
        return f"In these marks {spread}; there are too few passages to say how sure that is."
    apart, layers = int((rows["low"] > 0).sum()), len(rows)
    if not apart:
        return (
            f"It is not shown that {model} keeps {both} apart: in none of {layers} layers does the 95 % interval of "
            f"their separation lie above zero; on average {spread}."
        )
    where = "in all" if apart == layers else f"in {apart} of"
    return f"{model} keeps {both} apart {where} {layers} layers: on average {spread}."


def _of_difference(answers: Answers) -> str:
    rows = _deep(answers.of("difference", "mi"))
    if rows.empty:
        return "Which class is more alike is not known."
    sure = rows[(rows["low"] > 0) | (rows["high"] < 0)]
    chosen = rows if sure.empty else sure
    largest = chosen.loc[chosen["estimate"].abs().idxmax()]
    more, less = (answers.second, answers.first) if largest["estimate"] > 0 else (answers.first, answers.second)
    where = f"layer {int(largest['layer'])}{_interval(largest, absolute=True)}"
    size = f"{abs(largest['estimate']):.3f} bits ({where})"
    if sure.empty:
        shown = "It is not known" if rows["low"].isna().all() else "It is not shown"
        return (
            f"{shown} that the marks of either class are more alike than those of the other: the largest difference is "
            f"{size}, with {quoted(more)} the more alike."
        )
    in_first, in_second = int((sure["high"] < 0).sum()), int((sure["low"] > 0).sum())
    counted = {answers.first: in_first, answers.second: in_second}
    also = f" and less alike in {counted[less]}" if counted[less] else ""
    return (
        f"Marks of {quoted(more)} are more alike than those of {quoted(less)} in {counted[more]} of {len(rows)} "
        f"layers{also}; of these differences the largest is {size}{_share_of_means(answers, int(largest['layer']))}."
    )


def _share_of_means(answers: Answers, layer: int) -> str:
    """How much of the difference the class's mean vector makes, where that is measured and there is a difference."""
    measure = answers.centring_measure
    raw, part = (answers.of(name, measure).set_index("layer") for name in ("difference", "difference_of_means"))
    if measure == "corr" or layer not in part.index or pd.isna(part.loc[layer, "estimate"]):
        return ""
    if not (raw.loc[layer, "low"] > 0 or raw.loc[layer, "high"] < 0):
        return ""
    share = part.loc[layer, "estimate"] / raw.loc[layer, "estimate"]
    by = " by the Gaussian copula" if measure == "mi_copula" else ""
    return f", of which the classes' mean vectors make {f'{share:.0%}' if share <= 1 else 'all'}{by}"


def _of_whom(answers: Answers) -> str:
    books, estimator = len(answers.books), answers.estimator
    flagged, cases = _placebo_flags(answers)
    placebo = (
        f" The placebo, a class against itself (its first half of passages and the second, and random halves), finds "
        f"something in {flagged} of {cases} comparisons."
        if cases
        else ""
    )
    if estimator == inference.OVER_BOOKS:
        whom = f"This speaks of books like these {books}, each of which counts once"
    elif estimator == inference.ONE_BOOK:
        whom = f"This speaks of one book, through {answers.passages} passages of it, and of no other"
    elif estimator == inference.FIXED_BOOKS:
        whom = (
            f"This speaks of these {books} books, through {answers.passages} passages of them; to speak of others "
            f"takes {inference.BOOKS_TO_SPEAK_OF_OTHERS} books"
        )
    else:
        whom = f"This speaks of the marks at hand alone ({books} {'book' if books == 1 else 'books'})"
    return f"{whom}.{placebo}"


def _of_embeddings(answers: Answers) -> str:
    """What separation is where there is no context yet, as a warning about the layers that follow."""
    rows = answers.of("separation", "mi")
    rows = rows[(rows["layer"] == 0) & rows["estimate"].notna()]
    if rows.empty or answers.results["layer"].nunique() == 1:
        return ""
    return (
        " A state holds its own token: in layer 0, the embeddings, that alone makes a separation of "
        f"{rows['estimate'].iloc[0]:.3f} bits. Separation says that the classes are told apart, not what for."
    )


def _main_exhibit(answers: Answers, classes: Classes) -> Exhibit:
    both = f"{quoted(answers.first)} and {quoted(answers.second)}"
    return Exhibit(
        "answer-figure",
        "More alike within a class than between?",
        f"Above: mean mutual information of two marks within {both}, between them (dashed) and of random tokens. "
        "Below: separation, half the sum of the two within less the one between; thin, of random halves of a class.",
        f"Line charts over the layers: mutual information within {both}, between them and of random tokens; below, "
        "their separation beside that of random halves of a class, which is about zero.",
        within_and_between(answers, classes),
        answers.sql,
        {"answer": answers.results},
        "Every number is a mean over pairs of marks of different passages of a book. Where separation is above zero, "
        "two marks of one class are more alike than two of different classes. Random tokens show what any two states "
        "of this model share. Layer 0 holds the embeddings, where marks of one token are equal: it is in the table "
        "below and not drawn." + _of_embeddings(answers),
    )


def _difference_exhibit(answers: Answers, classes: Classes) -> Exhibit:
    first, second = quoted(answers.first), quoted(answers.second)
    measured = {"mi": "mutual information", "mi_copula": "the Gaussian copula's mutual information"}
    return Exhibit(
        "raw-and-centred",
        f"Which class is more alike: {second} minus {first}",
        f"Above: difference in {measured.get(answers.centring_measure, 'mean correlation')}, as it is and after each "
        "mark is centred on the mean of its class: what centring takes away, the class's mean vector made. Below: the "
        "placebo, a class against itself.",
        "Line chart over the layers of the raw and the centred difference; below, the first half of the passages "
        "of each class against the second.",
        raw_and_centred(answers, classes),
        answers.sql,
        {"answer-differences": answers.results[answers.results["quantity"].str.contains("difference")]},
        "In correlations centring would leave nothing whatever the marks are, since their mean within a class is the "
        "squared length of the class's mean; bits have more in them than that. The mean is taken over the "
        "other half of the book's passages, so that no mark is in its own. A book drifts: the first half of a class "
        "may differ from the second, and then a difference of that size says nothing of classes.",
    )


def _forest_exhibit(answers: Answers, layer: int, titles: Mapping[str, str] | None) -> Exhibit:
    shown, books = len(set(answers.by_book["book"])), len(answers.books)
    some = f" The first {FOREST_BOOKS} of {books:,} books by name." if shown < books else ""
    return Exhibit(
        "forest",
        f"Book by book, layer {layer}",
        "Separation and difference of each book in mutual information, with the 95 % interval of its own passages; "
        f"below, their mean with its interval over all layers at once.{some}",
        "Forest plot of separation and of difference, one line a book and one for the mean.",
        forest(answers, layer, titles),
        answers.sql,
        {"answer-books": answers.by_book},
    )


def _placebo_table(answers: Answers) -> Table:
    rows = []
    for name in (answers.first, answers.second):
        for quantity, said in (
            ("halves_difference", "difference, first half and second"),
            ("halves_separation", "separation, first half and second"),
            ("random_difference", "difference, random halves"),
            ("random_separation", "separation, random halves"),
        ):
            of = _deep(answers.of_class(quantity, "mi", name))
            if of.empty:
                continue
            largest = of.loc[of["estimate"].abs().idxmax()]
            known = of["low"].notna().any()
            flagged = int(_flagged(of, quantity).sum())
            rows.append((name, said, largest["estimate"], int(largest["layer"]), flagged if known else None, len(of)))
    return Table(
        "placebo",
        "The placebo: a class against itself",
        "The same estimators on two halves of one class's passages. Random halves have nothing to find; the halves of "
        "a book differ where it drifts, and a difference of the classes that is no larger says nothing of them.",
        pd.DataFrame(rows, columns=["class", "comparison", "largest", "layer_of_largest", "flagged", "layers"]).astype(
            {"flagged": "Int64"}
        ),
        {"largest": "largest (bits)", "layer_of_largest": "in layer", "flagged": "layers flagged", "layers": "of"},
        decimals={"largest": 3},
    )


def _layer_table(answers: Answers) -> Table:
    separation, difference = (answers.of(name, "mi").set_index("layer") for name in ("separation", "difference"))
    frame = pd.DataFrame({"layer": separation.index})
    frame["separation"] = separation["estimate"].to_numpy()
    frame["separation_interval"] = _ranges(separation)
    if separation["p"].notna().any():
        frame["p"], frame["skewness"] = separation["p"].to_numpy(), separation["skewness"].to_numpy()
    for name, measure in (("auc", "mi"), ("r2", "corr")):
        frame[name] = _estimates(answers, name, measure, separation.index)
    frame["difference"] = difference["estimate"].reindex(separation.index).to_numpy()
    frame["difference_interval"] = _ranges(difference.reindex(separation.index))
    for column, name in (("dispersion_first", answers.first), ("dispersion_second", answers.second)):
        of_class = answers.of_class("dispersion", "corr", name).set_index("layer")["estimate"]
        frame[column] = of_class.reindex(separation.index).to_numpy()
    copula = _estimates(answers, "separation", "mi_copula", separation.index)
    if pd.notna(copula).any():
        frame["copula"] = copula
    headings = HEADINGS | {
        "dispersion_first": f"dispersion {answers.first}",
        "dispersion_second": f"dispersion {answers.second}",
    }
    return Table(
        "answer-layers",
        "The answer, layer by layer",
        "Separation and difference in mutual information. AUC: the chance that a pair within a class shares more than "
        "one between. R²: what the classes explain of squared distances.",
        frame,
        {name: heading for name, heading in headings.items() if name in frame},
        reading="R² is that of PERMANOVA on 1 less the correlation; dispersion is 1 less the mean correlation within a "
        "class. The section Method says how each number is made.",
        apart="Layer 0 holds the embeddings: marks of one token are equal there, whatever their context.",
        decimals=dict.fromkeys(frame.columns[1:], 3),
    )


def _estimates(answers: Answers, quantity: str, measure: str, layers: pd.Index) -> pd.Series:
    return answers.of(quantity, measure).set_index("layer")["estimate"].reindex(layers).to_numpy()


def _placebo_flags(answers: Answers) -> tuple[int, int]:
    """In how many comparisons of a class with itself any layer is flagged, and how many have intervals."""
    flagged = cases = 0
    for name in (answers.first, answers.second):
        for quantity in ("halves_difference", "halves_separation", "random_difference", "random_separation"):
            rows = _deep(answers.of_class(quantity, "mi", name))
            if rows["low"].notna().any():
                cases += 1
                flagged += bool(_flagged(rows, quantity).any())
    return flagged, cases


def _flagged(rows: pd.DataFrame, quantity: str) -> pd.Series:
    """Whether something is found in each layer: a difference of either sign, or a separation above zero."""
    above = rows["low"] > 0
    return above if quantity.endswith("separation") else above | (rows["high"] < 0)


def _deep(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with an estimate, without layer 0 where there are others."""
    deep = rows[rows["layer"] > 0] if rows["layer"].nunique() > 1 else rows
    return deep[deep["estimate"].notna()]


def _interval(row: pd.Series, absolute: bool = False) -> str:
    if pd.isna(row["low"]):
        return ""
    low, high = (-row["high"], -row["low"]) if absolute and row["estimate"] < 0 else (row["low"], row["high"])
    return f"; 95 % interval {low:.3f} to {high:.3f}"


def _ranges(rows: pd.DataFrame) -> list[str]:
    bounds = zip(rows["low"], rows["high"], strict=True)
    return ["" if pd.isna(low) else f"{low:.3f} to {high:.3f}" for low, high in bounds]
