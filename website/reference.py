"""Reference pages made from the code: the commands, the settings, and what `import interpunct` gives."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import interpunct
from analysis.clusters import Clusters
from analysis.explanation import Term
from analysis.pairwise import PairStatistics
from jobs.config import PRESETS, RunConfig, StudyConfig
from jobs.one_text import TextMarks
from jobs.settings import Setting, typed_settings_of
from reports.data.measured import Measured
from store.query.reader import Store

_WIDTH = 100
_RESULTS = (TextMarks, Measured, PairStatistics, Clusters, Term, Store)
"""What the public functions return."""


def commands_page() -> str:
    """The help of every command, as the terminal shows it."""
    parser = interpunct.build_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    text = ["# Commands", "", f"```text\n{_help(parser)}```", ""]
    for name, command in commands.choices.items():
        text += [f"## interpunct {name}", "", f"```text\n{_help(command)}```", ""]
    return "\n".join(text)


def _help(parser: argparse.ArgumentParser) -> str:
    shown = parser.formatter_class

    class Wide(shown):  # type: ignore[valid-type, misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **{**options, "width": _WIDTH, "max_help_position": 30})

    parser.formatter_class = Wide
    if hasattr(parser, "color"):  # from Python 3.14 on, help is in colours
        parser.color = False
    return re.sub(r"^usage: \S+\.py", "usage: interpunct", parser.format_help())


def configuration_page() -> str:
    """Every setting: option, type, default and meaning, with the presets."""
    text = [
        "# Configuration",
        "",
        "Each setting is an option of `interpunct run` and `plan`, and a key of the TOML file that `--config` names:",
        "`per_class = 100`, at the top level or in a table `[study]` or `[run]`. Options win over the file, it over a",
        "preset. What is not said is as the store has it, or else the default; what is said otherwise than the store",
        "has it is refused.",
        "",
    ]
    for title, config in (("Settings of the study", StudyConfig), ("Settings of the run", RunConfig)):
        text += [f"## {title}", "", "| setting | values | default | meaning |", "|---|---|---|---|"]
        text += [_setting_row(setting) for setting in typed_settings_of(config).values()]
        text.append("")
    for name, settings in PRESETS.items():
        listed = ", ".join(f"`{key} = {_plain(value)}`" for key, value in settings.items())
        text += [f"## The preset `{name}`", "", f"{listed}.", ""]
    return "\n".join(text)


def _setting_row(setting: Setting) -> str:
    values = ", ".join(setting.choices) or (setting.metavar or setting.type.__name__)
    cells = (f"`{setting.name}`", values, _plain(setting.default), setting.help)
    return "| " + " | ".join(cell.replace("|", " or ") for cell in cells) + " |"


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return "; ".join(f"{one.name} `{' '.join(one.tokens)}`" for one in value) or "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def python_page() -> str:
    """The public names with signature and docstring; of classes their public members too."""
    text = ["# Python", "", "```python\nimport interpunct\n```", ""]
    for name in interpunct.__all__:
        thing = getattr(interpunct, name)
        if name == "main":
            continue
        text += [f"## {name}", "", *_described(f"interpunct.{name}", thing)]
        text += _members_of(thing) if inspect.isclass(thing) else []
    text += ["## What comes back", ""]
    for kind in _RESULTS:
        text += [f"### {kind.__name__}", "", _markdown(inspect.getdoc(kind) or ""), "", *_members_of(kind, "####")]
    return "\n".join(text)


def _members_of(kind: type, heading: str = "###") -> list[str]:
    text: list[str] = []
    for member, inner in _members(kind):
        text += [f"{heading} {kind.__name__}.{member}", "", *_described(f".{member}", inner)]
    return text


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    for member, inner in vars(kind).items():
        if not member.startswith("_") and (inspect.isfunction(inner) or _is_value(inner)):
            yield member, inner


def _described(shown: str, thing: Any) -> list[str]:
    signature = "" if _is_value(thing) else _signature(thing)
    return [f"```python\n{shown}{signature}\n```", "", _markdown(inspect.getdoc(thing) or ""), ""]


def _is_value(member: Any) -> bool:
    return isinstance(member, property | cached_property)


def _signature(thing: Any) -> str:
    signature = inspect.signature(thing)
    parameters = [p.replace(annotation=p.empty) for name, p in signature.parameters.items() if name != "self"]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


def _markdown(docstring: str) -> str:
    """Examples with `>>>` become blocks; a bare `*` or `<` is no markup."""
    blocks = []
    for paragraph in docstring.split("\n\n"):
        if paragraph.lstrip().startswith(">>>"):
            blocks.append(f"```python\n{paragraph}\n```")
        else:
            blocks.append(paragraph.replace("*", r"\*").replace("<", r"\<"))
    return "\n\n".join(blocks)
