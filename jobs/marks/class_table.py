"""Which entries of a tokenizer's vocabulary belong to which class of a study."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jobs.classes import TokenClass
from jobs.errors import UsageError
from jobs.marks.tokens import Vocabulary


def class_table(
    vocabulary: Vocabulary, distinct_ids: NDArray[np.int64], classes: Sequence[TokenClass]
) -> NDArray[np.int8]:
    """The class of each vocabulary entry: int8 [size], the class's place in `classes`, -1 for none.

    Valid for `distinct_ids`, which the vocabulary has learnt. Raises UsageError where two classes claim one token.
    """
    table = np.full(vocabulary.size, -1, dtype=np.int8)
    claimed: dict[str, int] = {}
    for token_id in distinct_ids.tolist():
        mark_type = vocabulary.text(token_id).strip()
        if mark_type not in claimed:
            claimed[mark_type] = _claimant(mark_type, classes)
        table[token_id] = claimed[mark_type]
    return table


def check_vocabulary(vocabulary: Vocabulary, classes: Sequence[TokenClass]) -> None:
    """Raise UsageError where two classes claim one entry of the vocabulary, whether or not a text has it.

    The names of tokens alone tell where no class has a pattern; then nothing is decoded.
    """
    if len(classes) > 1 and any(token_class.has_pattern for token_class in classes):
        class_table(vocabulary, vocabulary.learn_all(), classes)


def check_tokens_exist(vocabulary: Vocabulary, classes: Sequence[TokenClass]) -> None:
    """Raise UsageError for a class's token that is not one token of this model, and so is found in no text.

    A text that is one token, alone or behind a space, needs nothing more; only where it is several is the whole
    vocabulary looked through, since a piece of a word can be an entry that no text begins with.
    """
    for token_class in classes:
        for token in sorted(token_class.literals):
            pieces, spaced = vocabulary.encode([token, f" {token}"])
            if min(len(pieces), len(spaced)) == 1:
                continue
            vocabulary.learn_all()
            if not vocabulary.ids_of(token):
                parts = ", ".join(repr(vocabulary.text(int(piece))) for piece in spaced)
                raise UsageError(
                    f"class {token_class.name!r} has {token!r}, which is {len(spaced)} tokens to this model ({parts}); "
                    "a class is made of single tokens: name one of these, or mark the places with --labels"
                )


def _claimant(mark_type: str, classes: Sequence[TokenClass]) -> int:
    if not mark_type:
        return -1
    claimants = [place for place, token_class in enumerate(classes) if token_class.matches(mark_type)]
    if len(claimants) > 1:
        names = " and ".join(repr(classes[place].name) for place in claimants)
        raise UsageError(f"the token {mark_type!r} belongs to the classes {names}; a token belongs to one class")
    return claimants[0] if claimants else -1
