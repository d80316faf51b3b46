"""What a page sends to change the configuration: an entry, a text, or an earlier revision."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from jph.config import checks, document
from jph.errors import ConfigError
from web.configuration import store
from web.configuration.differences import (
    Difference,
    applied,
    differences,
    overlapping,
    path_text,
    value_text,
)
from web.configuration.entries import entries_of
from web.configuration.keeper import ConflictError, Keeper
from web.configuration.own_pages import own_mistakes, port_in
from web.configuration.text import merged, position_of
from web.site import Site

How = Literal["", "merge", "over"]
Shown = dict[str, object]

LONGEST_WHY = 200  # letters
MOST_SHOWN = 100  # differences


@dataclass(frozen=True, slots=True)
class Edit:
    """One change that a person wants.

    Args:
        base: number of the revision that they saw; 0: the newest.
        codifier: of the component whose entry it is; empty for a new one.
        entry: its new entry; None with a Codifier: it is removed.
        section: the entry is no component but this part of the document, such as Multicast.
        text: the whole document in its place.
        revision: the document of that revision in its place.
        how: what to do if somebody changed the configuration meanwhile: merge both, or write over.
    """

    base: int
    codifier: str = ""
    entry: Mapping[str, object] | None = None
    section: str = ""
    text: str | None = None
    revision: int = 0
    why: str = ""
    how: How = ""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Edit":
        """Return the edit in a JSON object.

        Raises:
            ValueError: it is none.
        """
        kinds: dict[str, type | tuple[type, ...]] = {
            "base": int,
            "codifier": str,
            "entry": (dict, type(None)),
            "section": str,
            "text": (str, type(None)),
            "revision": int,
            "why": str,
            "how": str,
        }
        for key, value in given.items():
            if key not in kinds or not isinstance(value, kinds[key]):
                raise ValueError(f"{key} is not part of an edit, or of another kind.")
        edit = cls(**{"base": 0, **given})
        if edit.how not in ("", "merge", "over"):
            raise ValueError("how must be merge or over.")
        return replace(edit, why=" ".join(edit.why.split())[:LONGEST_WHY])

    def wanted(self, keeper: Keeper, base: int) -> Mapping[str, object] | str:
        """Return the document that it makes of a revision, or the text.

        Raises:
            ConfigError: there is no such revision, or nothing to change in it.
        """
        if self.text is not None:
            return self.text
        if self.revision:
            return _text_of(keeper, self.revision)
        content = document.parse(_text_of(keeper, base).encode())
        if not isinstance(content, dict):
            raise ConfigError("the document must be an object; correct it as text")
        if self.section:
            content[self.section] = dict(self.entry or {})
            return content
        entries = content.setdefault("Sensors", [])
        place = next((at for at, it in enumerate(entries) if _is(it, self.codifier)), None)
        if self.codifier and place is None:
            raise ConfigError(f"there is no component {self.codifier} in revision {base}")
        if place is None:
            entries.append(dict(self.entry or {}))
        elif self.entry is None:
            del entries[place]
        else:
            entries[place] = dict(self.entry)
        return content


def _text_of(keeper: Keeper, number: int) -> str:
    try:
        return keeper.text(number)
    except KeyError:
        raise ConfigError(f"revision {number} is not kept any more") from None


def _is(entry: object, codifier: str) -> bool:
    return bool(codifier) and isinstance(entry, dict) and entry.get("Codifier") == codifier


# Mistakes and their places


def found_in(
    wanted: Mapping[str, object] | str, keeper: Keeper, edit: Edit
) -> tuple[list[Shown], list[Shown]]:
    """Return the mistakes and the warnings of a document, as pages show them."""
    try:
        content = document.parse(wanted.encode()) if isinstance(wanted, str) else wanted
        mistakes, warnings = checks.check(content)
        mistakes += own_mistakes(keeper.own_component, content)
    except (ConfigError, UnicodeEncodeError) as error:
        mistakes = error.mistakes if isinstance(error, ConfigError) else [str(error)]
        warnings = []
    return (
        [placed(line, wanted, edit) for line in mistakes],
        [placed(line, wanted, edit) for line in warnings],
    )


def placed(line: str, wanted: Mapping[str, object] | str, edit: Edit) -> Shown:
    """Return a mistake with its place: line and column of a text, or the key within the entry."""
    path, colon, words = line.partition(": ")
    at = re.match(r"line (\d+)(?:, column (\d+))?$", path)
    if not colon or (" " in path and at is None):
        path, words = "", line
    found: Shown = {"path": path, "text": words, "line": None, "column": None, "key": None}
    if at is not None:
        return {**found, "path": "", "line": int(at[1]), "column": int(at[2] or 1)}
    if isinstance(wanted, str):
        try:
            document.parse(wanted.encode())
            found["line"], found["column"] = position_of(wanted, path)
        except (ConfigError, UnicodeEncodeError):
            pass
    elif edit.section:
        if path.startswith(edit.section):
            found["key"] = path.removeprefix(edit.section).removeprefix(".")
    elif own := re.match(r"Sensors\[(\d+)\]\.?(.*)", path):
        entry = entries_of(wanted)[int(own[1])]
        codifier = str((edit.entry or {}).get("Codifier", edit.codifier))
        if str(entry.get("Codifier")) == codifier:
            found["key"] = own[2]
    return found


# Changes of others meanwhile


def merged_with(
    wanted: Mapping[str, object] | str, keeper: Keeper, base: int, newest: int
) -> Mapping[str, object] | str:
    """Return what others have made of a revision, with one's own changes of it.

    Where both changed the same, one's own stands.
    """
    mine = differences(_document(_text_of(keeper, base)), _document(wanted))
    text = _text_of(keeper, newest)
    result = applied(_document(text), mine)
    return merged(text, result) if isinstance(wanted, str) else result


def conflict_of(
    wanted: Mapping[str, object] | str, keeper: Keeper, conflict: ConflictError
) -> Shown:
    """Return what a person needs to decide."""
    newest, base = conflict.newest, conflict.base
    shown: Shown = {
        "conflict": str(conflict),
        "newest": newest.number,
        "who": newest.who,
        "kind": newest.kind,
        "time_ms": newest.made_ms,
        "mine": [],
        "theirs": [],
        "overlaps": [],
        "can_merge": False,
    }
    try:
        before = _document(_text_of(keeper, base.number if base else newest.number))
        mine = differences(before, _document(wanted))
        theirs = differences(before, _document(_text_of(keeper, newest.number)))
    except ConfigError:
        return shown  # one of them is no JSON
    both = overlapping(mine, theirs)
    return {
        **shown,
        "mine": shown_differences(mine),
        "theirs": shown_differences(theirs),
        "overlaps": [path_text(it.path) for it in both],
        "can_merge": True,
    }


def shown_differences(changes: Iterable[Difference]) -> list[Shown]:
    """Return differences as pages show them, not more than anybody reads."""
    return [
        {
            "path": path_text(it.path),
            "before": value_text(it.before),
            "after": value_text(it.after),
        }
        for it in list(changes)[:MOST_SHOWN]
    ]


def _document(wanted: Mapping[str, object] | str) -> object:
    return document.parse(wanted.encode()) if isinstance(wanted, str) else wanted


# What became of it


def outcome_of(site: Site, number: int) -> Shown | None:
    """Return what became of a revision so far: of the whole, and of each component."""
    trial = site.keeper.trial
    changed: frozenset[str] = frozenset()
    if trial is not None and trial.number == number:
        changed = trial.changed
        state, reason = trial.state, trial.reason
        answers: Mapping[str, object] = trial.answers(site.config)
        is_over = trial.is_over
    else:
        revision = store.find(site.home, number)
        if revision is None:
            return None
        kept = revision.outcome
        state, reason = kept.get("state", ""), kept.get("reason", "")  # type: ignore[assignment]
        found = kept.get("answers")
        answers = found if isinstance(found, dict) else {}
        is_over = True
    own = site.channel.process.components()
    components: list[Shown] = []
    for codifier, answer in answers.items():
        component = site.config.components.get(codifier)
        status = own.get(codifier)
        is_new_fault = codifier in changed and status is not None and status.is_failing
        components.append(
            {
                "codifier": codifier,
                "name": component.name if component else "",
                "answer": answer,
                "fault": status.error if status is not None and is_new_fault else None,
            }
        )
    return {
        "number": number,
        "state": state,
        "reason": reason,
        "is_over": is_over,
        "components": components,
    }


def address_after(keeper: Keeper, host: str) -> str:
    """Return the host and port of the pages under the newest revision; empty if they stay."""
    _, content = keeper.current()
    port = port_in(content, keeper.own)
    before = keeper.own_component.settings.get("Port")
    if not isinstance(port, int) or port == before or not port:
        return ""
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    return f"{name}:{port}"
