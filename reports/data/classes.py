"""The classes of a study as a report speaks of them: their order, their words, and which two it sets apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from store.keys import BASELINE
from store.study import Study

_TOKENS_SHOWN = 24
_CLASSES_IN_A_TITLE = 4


@dataclass(frozen=True)
class Classes:
    """The classes of one study: `names` in its order, the baseline last where there is one; `tokens` of each.

    `teaching`: the mark type of a class whose rule is asked about the other types, see `store.teaching`.

    >>> classes = Classes(("and", "but", "baseline"), {"and": ("and",), "but": ("but", "yet")})
    >>> classes.compared, classes.title("but"), classes.difference
    (('and', 'but'), 'but (but yet)', '“but” minus “and”')
    """

    names: tuple[str, ...]
    tokens: Mapping[str, Sequence[str]] = field(default_factory=dict)
    teaching: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, study: Study) -> Classes:
        """The classes of a study."""
        tokens = {name: tuple(tokens) for name, tokens in study.config.get("classes", ())}
        return cls(study.class_names, tokens, study.teaching_types)

    @property
    def named(self) -> tuple[str, ...]:
        """The classes that the study names: all but the baseline."""
        return tuple(name for name in self.names if name != BASELINE)

    @property
    def baseline(self) -> str | None:
        """The class of random tokens, where the study has it."""
        return BASELINE if BASELINE in self.names else None

    @property
    def subject(self) -> str:
        """What the study is about, as a title begins: punctuation where all its tokens are, else its classes.

        >>> Classes(("stops",), {"stops": (".", "?")}).subject, Classes(("and", "but"), {"and": ("and",)}).subject
        ('Punctuation', '“and” and “but”')
        """
        tokens = [token for name in self.named for token in self.tokens.get(name, (name,))]
        if tokens and not any(character.isalnum() for token in tokens for character in token):
            return "Punctuation"
        return (
            self.list(self.named) if len(self.named) <= _CLASSES_IN_A_TITLE else f"{len(self.named)} classes of tokens"
        )

    @property
    def compared(self) -> tuple[str, str] | None:
        """The first two named classes, whose difference is the second less the first; None where one is named."""
        return (self.named[0], self.named[1]) if len(self.named) > 1 else None

    @property
    def difference(self) -> str:
        """The difference in words. Raises ValueError where nothing is compared."""
        if self.compared is None:
            raise ValueError("a study of one class has no difference")
        first, second = self.compared
        return f"{quoted(second)} minus {quoted(first)}"

    @property
    def others_note(self) -> str:
        """A sentence on which of more than two classes stand first; nothing where there are two."""
        if self.compared is None or len(self.named) == 2:
            return ""
        return (
            f"All {len(self.named)} classes are drawn. The answer begins with the first two that the study names, "
            f"{self.list(self.compared)}; a table has every pair of them."
        )

    def title(self, name: str) -> str:
        """A class with its tokens, for the title of a panel."""
        if name == BASELINE:
            return f"{name} (random tokens)"
        tokens = " ".join(self.tokens.get(name, ()))
        if not tokens or tokens == name:
            return name
        return f"{name} ({tokens if len(tokens) <= _TOKENS_SHOWN else tokens[: _TOKENS_SHOWN - 1] + '…'})"

    def list(self, names: Sequence[str] | None = None) -> str:
        """Classes in words, all of them by default: “and”, “but” and “the”."""
        words = [quoted(name) for name in (self.names if names is None else names)]
        return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "none"


def quoted(name: str) -> str:
    """A class's name within a sentence, where it may be a word like any other."""
    return f"“{name}”"
