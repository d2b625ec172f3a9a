"""Imports go one way, between packages and between rooms; the import statements are read, function bodies included."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("analysis", "store", "jobs", "reports", "interpunct")
MAY_IMPORT = {
    "analysis": set(),
    "store": set(),
    "jobs": {"analysis", "store"},
    "reports": {"analysis", "store"},
    "interpunct": {"analysis", "store", "jobs", "reports"},
}
# The rooms of each package, lowest floor first: folders and top-level modules, `""` for the package's own __init__.
# A room imports from floors below its own, never from its own floor or above.
FLOORS: dict[str, tuple[tuple[str, ...], ...]] = {
    "analysis": (
        ("", "bootstrap", "contrasts", "effects", "explanation", "layer_measures", "reference", "transfer"),
        ("engine", "inference", "nulls"),
        ("clouds", "histograms", "measures", "pairwise", "unimodality"),
        ("clusters", "pairing", "summaries"),
        ("lineages", "specifications"),
    ),
    "store": (
        ("books", "columns", "errors", "foreign_text", "keys", "streams", "teaching"),
        ("documents", "encoding", "paths"),
        ("objects", "trials"),
        ("entries",),
        ("log", "study"),
        ("commits", "lock"),
        ("amendments",),
        ("listing", "query", "status", "writer"),
        ("", "cookbook", "dictionary", "upkeep"),
        ("commands",),
    ),
    "jobs": (
        ("", "errors", "stopping", "cache_folder"),
        ("classes", "installed", "settings"),
        ("config", "doctor"),
        ("corpus", "marks"),
        ("model",),
        ("settle", "stages"),
        ("account",),
        ("cluster", "estimate", "serial"),
        ("run",),
        ("one_text", "recompute", "sensitivity"),
        ("commands",),
    ),
    "reports": (
        ("", "errors"),
        ("data", "publish"),
        ("figures",),
        ("page",),
        ("sections",),
        ("build",),
        ("gallery", "produce"),
        ("clock",),
        ("commands",),
    ),
    "interpunct": (("",),),
}
Graph = dict[str, set[str]]
ONLY_IN = {
    "ray": ("jobs/",),
    "transformers": ("jobs/",),
    "torch": ("jobs/",),
    "matplotlib": ("reports/",),
    "duckdb": ("store/",),
    "argparse": ("interpunct.py", "jobs/commands.py", "store/commands.py", "reports/commands.py"),
}


def source_files() -> list[Path]:
    files = [ROOT / "interpunct.py"]
    for package in PACKAGES[:-1]:
        files += sorted((ROOT / package).rglob("*.py"))
    return files


def imported_modules(path: Path) -> set[str]:
    """The top-level names that a file imports anywhere, function bodies included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; name the package"
            names.add((node.module or "").split(".")[0])
    return names


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path):
    relative = path.relative_to(ROOT).as_posix()
    package = relative.split("/")[0].removesuffix(".py")
    imports = imported_modules(path)
    forbidden = (imports & set(PACKAGES)) - MAY_IMPORT[package] - {package}
    assert not forbidden, f"{relative} imports {sorted(forbidden)}; {package} may import {sorted(MAY_IMPORT[package])}"
    for library, places in ONLY_IN.items():
        if library in imports:
            assert relative.startswith(places), f"{relative} imports {library}; only {places} may"


def module_name(path: Path) -> str:
    """`jobs.corpus.names` for jobs/corpus/names.py, `jobs.corpus` for its __init__.py."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def modules_named(source: str, modules: Iterable[str]) -> set[str]:
    """Return which of `modules` the source imports, wherever in it the statement stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside & set(modules) or {str(node.module)}
    return found & set(modules)


def import_graph() -> Graph:
    paths = {module_name(path): path for path in source_files()}
    return {name: modules_named(path.read_text(encoding="utf-8"), paths) - {name} for name, path in paths.items()}


def room(module: str) -> tuple[str, str]:
    """The package and the room of a module: its folder, or itself where it lies in no folder."""
    package, _, rest = module.partition(".")
    return package, rest.partition(".")[0]


def arrows_back(graph: Graph, floors: Mapping[str, tuple[tuple[str, ...], ...]]) -> set[tuple[str, str]]:
    """Return the imports of a package's module from another room on the same floor or above."""
    height = {
        (package, name): at for package, all_ in floors.items() for at, names in enumerate(all_) for name in names
    }
    return {
        (module, imported)
        for module, imports in graph.items()
        for imported in imports
        if room(module)[0] == room(imported)[0]
        and room(module) != room(imported)
        and height[room(module)] <= height[room(imported)]
    }


def circle(graph: Graph) -> list[str]:
    """Return the modules of one import circle, first and last the same; nothing where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_room_has_its_floor():
    declared = {(package, name) for package, floors in FLOORS.items() for names in floors for name in names}
    rooms = {room(module) for module in import_graph()}
    assert rooms - declared == set(), "a new room: say in FLOORS on which floor it is"
    assert declared - rooms == set(), "a room of FLOORS is gone"


def test_rooms_import_from_floors_below():
    assert arrows_back(import_graph(), FLOORS) == set()


def test_no_import_circle():
    assert circle(import_graph()) == []


MADE_UP = {
    "p.commands": {"p.run", "p.corpus.names"},
    "p.run": {"p.corpus.names"},
    "p.corpus.names": {"p.corpus.files", "p.errors"},
    "p.corpus.files": {"p.errors"},
    "p.errors": set(),
}
MADE_UP_FLOORS = {"p": (("errors",), ("corpus",), ("run",), ("commands",))}


def test_a_graph_in_order_passes():
    assert arrows_back(MADE_UP, MADE_UP_FLOORS) == set()
    assert circle(MADE_UP) == []


@pytest.mark.parametrize(("start", "end"), [(a, b) for a, imports in MADE_UP.items() for b in sorted(imports)])
def test_an_arrow_turned_round_is_found(start, end):
    turned = {module: imports - {end} if module == start else set(imports) for module, imports in MADE_UP.items()}
    turned[end].add(start)
    expected = {(end, start)} if room(start) != room(end) else set()
    assert arrows_back(turned, MADE_UP_FLOORS) == expected


def test_a_room_may_not_import_from_its_own_floor():
    floors = {"p": (("errors",), ("corpus", "run"), ("commands",))}
    assert arrows_back(MADE_UP, floors) == {("p.run", "p.corpus.names")}


def test_a_circle_within_a_room_is_found():
    round_ = MADE_UP | {"p.corpus.files": {"p.corpus.names"}}
    assert arrows_back(round_, MADE_UP_FLOORS) == set()
    assert set(circle(round_)) == {"p.corpus.files", "p.corpus.names"}


def test_imports_are_found_in_every_form():
    modules = {"p", "p.a", "p.b", "p.c", "p.d", "p.e"}
    source = (
        "import p.a\nfrom p import b, thing\nif True:\n    from p.c import other\n"
        "def late():\n    import p.d as d\n    from p.e import f\n"
    )
    assert modules_named(source, modules) == {"p.a", "p.b", "p.c", "p.d", "p.e"}
    assert modules_named("from p import thing\nimport os", modules) == {"p"}


def test_the_front_door_loads_nothing_heavy():
    code = (
        "import sys, contextlib, io, interpunct\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "    interpunct.main(['--help'])\n"
        "print([m for m in ('ray', 'torch', 'transformers', 'matplotlib', 'duckdb', 'pyarrow') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_no_grab_bags():
    names = {path.name for path in source_files()}
    assert not names & {"utils.py", "helpers.py", "common.py", "misc.py"}
