"""How the numbers were made, from what this study was run with: a step a line, with where it comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from analysis import inference
from reports.data.answer import Answers
from reports.data.chance import Chance
from reports.data.queries import Answer
from reports.data.scope import Scope
from reports.figures.headline import headline
from reports.page.exhibits import Exhibit, Failure, Section, Table, attempt
from reports.sections.overview import chance_note

KEY = "method"
TITLE = "Method"

COVER = "Cover and Thomas 2006, Elements of Information Theory"
INCE = "Ince et al. 2017, doi:10.1002/hbm.23471"
CENTRING = "cross-fitting: Chernozhukov et al. 2018, doi:10.1111/ectj.12097"
ETHAYARAJH = "Ethayarajh 2019, doi:10.18653/v1/D19-1006"
ANDERSON = "Anderson 2001, doi:10.1111/j.1442-9993.2001.01070.pp.x"
BERNARDI = "Bernardi et al. 2020, doi:10.1016/j.cell.2020.09.031"
HEWITT = "Hewitt and Liang 2019, doi:10.18653/v1/D19-1275"
CAMERON = "Cameron, Gelbach and Miller 2008, doi:10.1162/rest.90.3.414"
WESTFALL = "Westfall and Young 1993, Resampling-Based Multiple Testing"
FISHER = "Fisher 1935, The Design of Experiments"
ARVESEN = "Quenouille 1956, doi:10.1093/biomet/43.3-4.353; Arvesen 1969, doi:10.1214/aoms/1177697287"
HENNIG = "Hennig 2007, doi:10.1016/j.csda.2006.11.025; Rousseeuw 1987, doi:10.1016/0377-0427(87)90125-7"
DUMBGEN = "Dümbgen and Walther 2008, doi:10.1214/07-AOS521"
BENJAMINI = "Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x"
VINH = "Vinh, Epps and Bailey 2010, Journal of Machine Learning Research 11:2837"
TIMKEY = "Timkey and van Schijndel 2021, doi:10.18653/v1/2021.emnlp-main.372"


def method_section(
    study: Mapping[str, Any],
    scope: Scope,
    answers: Answers | None,
    means: pd.DataFrame,
    moments: Answer,
    chance: Chance,
) -> Section:
    """The steps of this study with their sources, and the level of chance."""
    parts: list[Exhibit | Table | Failure] = [_steps_table(study, scope, answers)]
    if answers is not None and not chance.frame.empty:
        parts.append(
            attempt("chance", "The figure of the level of chance", lambda: _chance(scope, means, moments, chance))
        )
    return Section(KEY, TITLE, "", tuple(parts))


def _steps_table(study: Mapping[str, Any], scope: Scope, answers: Answers | None) -> Table:
    rows = [*_of_states(study, scope), *_of_pairs(study, scope)]
    rows += _of_answer(answers) if answers else []
    rows += _of_clusters() if study.get("clusters") else []
    return Table(
        "method-steps",
        "What was done, step by step",
        "Made from the settings of this study: what it did not do is not in the list. Formulas and units: Interpunct's "
        "documentation, page Statistics.",
        pd.DataFrame(rows, columns=["step", "what", "source"]),
        {"what": "what was done"},
    )


def _of_states(study: Mapping[str, Any], scope: Scope) -> Iterator[tuple[str, str, str | None]]:
    classes = scope.classes
    if study.get("text") == "clean":
        yield "text", "Words of Project Gutenberg around the book are removed.", None
    named = "; ".join(classes.title(name) for name in classes.named)
    if study.get("selection") == "strict":
        named += ". Full stops of abbreviations, initials, decimals and ellipses are left out"
    yield "marks", f"Up to {study.get('per_class'):,} of each class of each book: {named}.", None
    if classes.baseline:
        yield "random tokens", "Tokens of the same passages that belong to no class, as the baseline.", ETHAYARAJH
    if study.get("context") == "passage":
        spread = " spread evenly over the book" if study.get("sample") == "spread" else ", the first of the book"
        yield (
            "context",
            f"Passages of {study.get('passage_tokens')} tokens{spread}, each read whole by the model; marks are taken "
            f"behind the first {study.get('warmup_tokens')}.",
            None,
        )
    else:
        yield "context", f"A window from {study.get('before')} tokens before each mark to the mark.", None
    yield (
        "states",
        f"The hidden state at the mark in {len(scope.layers)} layers: 0 is the embeddings, the last one comes after "
        "the final norm.",
        None,
    )


def _of_pairs(study: Mapping[str, Any], scope: Scope) -> Iterator[tuple[str, str, str | None]]:
    between = " and between classes" if scope.between_measured and scope.classes.compared else ""
    yield (
        "pairs",
        f"All pairs of marks of a book, within a class{between}. The dimensions of the two states are the paired "
        "observations.",
        None,
    )
    if study.get("outlier_z"):
        yield (
            "outliers",
            f"A dimension is left out of a pair where either state has it more than {study['outlier_z']:g} standard "
            "deviations from that state's mean.",
            TIMKEY,
        )
    yield (
        "mutual information",
        f"Plug-in estimate, in bits, from a joint histogram of {study.get('bins')} by {study.get('bins')} bins of "
        "equal width between the least and the largest value left.",
        COVER,
    )
    if study.get("measures") != "notebook":
        yield "copula", "Mutual information of the Gaussian copula of ranks, corrected for its bias.", INCE
        yield (
            "centring",
            "From each state the mean of its class over the other half of the book's passages is taken.",
            CENTRING,
        )
    yield "Gaussian curve", "-log2(1 - r²) / 2 bits, what Gaussian vectors of correlation r share.", COVER


def _of_answer(answers: Answers) -> Iterator[tuple[str, str, str | None]]:
    yield (
        "separation",
        "Half the sum of the means within two classes less the mean between them, over pairs of passages apart.",
        None,
    )
    yield (
        "AUC, R²",
        "Chance that a pair within shares more than one between; share of squared distances explained.",
        ANDERSON,
    )
    if not answers.of("transfer", "direction").empty:
        yield (
            "transfer",
            "A direction from one mean to the other, learned on one mark type of either class in half of "
            "the passages, "
            "asked about the other types in the other half; control labels by mark type.",
            f"{BERNARDI}; {HEWITT}",
        )
    estimators = set(answers.results["estimator"])
    if inference.OVER_BOOKS in estimators:
        yield "intervals", f"Wild bootstrap-t over {len(answers.books)} books, each of which counts once.", CAMERON
        yield "sign-flip p", "All ways, or a sample of them, to flip the signs of the books' effects.", FISHER
    if estimators & {inference.FIXED_BOOKS, inference.ONE_BOOK}:
        yield "intervals", f"Jackknife over {answers.passages} passages, wild bootstrap-t.", f"{ARVESEN}; {CAMERON}"
    if estimators - {inference.NO_INTERVAL}:
        yield "layers", "Intervals hold in all layers at once: the largest t of all layers sets their width.", WESTFALL
    yield (
        "placebo",
        "The same estimators on two halves of one class: first against second half, and random halves.",
        None,
    )


def _of_clusters() -> Iterator[tuple[str, str, str | None]]:
    yield (
        "clusters",
        "Marks, not pairs, are split where a valley between two groups is deeper than chance makes one.",
        DUMBGEN,
    )
    yield (
        "silhouette, stability",
        "How clear a cluster is, and how often it is found without a quarter of the passages.",
        HENNIG,
    )
    yield "explanation", "What is known of the marks, tested against the clusters, corrected for many tests.", BENJAMINI


def _chance(scope: Scope, means: pd.DataFrame, moments: Answer, chance: Chance) -> Exhibit:
    return Exhibit(
        "chance",
        "The level of chance",
        "Solid: mean mutual information within each class, over all pairs. Dotted: what the plug-in estimator finds "
        "between independent vectors of the same margins.",
        "Line chart over the layers of mean mutual information within each class beside its level of chance.",
        headline(means.assign(low=float("nan"), high=float("nan")), None, chance.frame, scope.classes),
        (scope.book_means.sql, moments.sql, chance.sql),
        {"chance-means": means.drop(columns=["low", "high"]), "chance": chance.frame},
        chance_note(chance).strip() + f" {VINH}.",
    )
