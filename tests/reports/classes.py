"""Classes that tests of the reports draw and speak of."""

from __future__ import annotations

from reports.data.classes import Classes

TWO = Classes(("internal", "terminal"), {"internal": (",",), "terminal": (".",)})
WITH_BASELINE = Classes(("internal", "terminal", "baseline"), TWO.tokens)
ONE = Classes(("stops",), {"stops": (".",)})
THREE = Classes(("and", "but", "the", "baseline"), {"and": ("and",), "but": ("but", "yet"), "the": ("the",)})
SIXTEEN = Classes((*(f"c{number}" for number in range(16)), "baseline"))
