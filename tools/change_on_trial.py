"""A start under a change of the configuration on trial; see `web.configuration.trial`.

The pages that a change was saved on look after it. If their process ends first, its next start
does: once it may try the change, and what ends that start with an error takes the change back.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from jph.config.loading import ON_TRIAL
from jph.errors import JphError

EX_TEMPFAIL = 75  # systemd tries again later: those who have the components may be gone then


@dataclass(slots=True)
class Change:
    """What became of it."""

    is_taken_back: bool = False


@contextmanager
def change_on_trial(home: Path, runs: Callable[[Mapping[str, object]], bool]) -> Iterator[Change]:
    """Look after a change on trial while a process runs; take it back if that ends with an error.

    Args:
        runs: tells of an entry of `Sensors` whether this process runs the component.
    """
    change = Change()
    if not (home / ON_TRIAL).exists():  # the modules of the pages are not loaded for nothing
        yield change
        return
    from web.configuration import trial

    try:
        mark = trial.at_start(home, runs)
    except (JphError, OSError) as error:
        click.echo(f"jph: the change of the configuration cannot be taken back: {error}", err=True)
        mark = None
    try:
        yield change
        trial.forget_start(home, mark)  # a person has ended it
    except click.ClickException as error:
        if error.exit_code == EX_TEMPFAIL:
            trial.forget_start(home, mark)
            raise
        # Unless the pages were served meanwhile, so that the error has nothing to do with it.
        if mark is None or trial.mark_of(home) != mark:
            raise
        try:
            change.is_taken_back = trial.take_back_at_start(home, mark, error.format_message())
        except (JphError, OSError):
            raise error from None
        if not change.is_taken_back:
            raise
