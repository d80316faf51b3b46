"""A new configuration while the node runs: what changed is started, ended or built again.

The rest goes on undisturbed; its next sign of life carries the time of the new configuration. Only
a component that C names by its Codifier is built again in any case: so a person restarts it.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from jph import registry
from jph.config.model import Component, Config
from jph.errors import ConfigError
from jph.node.building import build
from jph.node.node import Node
from jph.node.runner import ComponentRunner

log = logging.getLogger(__name__)

Choose = Callable[[Config], Iterable[Component]]


class Reloader:
    """Takes a node from one configuration to the next.

    Args:
        node: whose components these are; it asks from now on.
        load: reads the configuration; raises ConfigError.
        choose: returns the components of a configuration that belong to this process; None: the
            present ones.
    """

    def __init__(
        self, node: Node, load: Callable[[], Config], choose: Choose | None = None
    ) -> None:
        # Told when a reload begins (True), and when it has ended (False).
        self.on_progress: Callable[[bool], object] = lambda begins: None
        self._node = node
        self._load = load
        self._choose = choose
        self._asked: set[tuple[str, ...] | None] = set()  # by loads that did not begin yet
        node.on_reload = self.ask

    def ask(self, runners: Sequence[ComponentRunner] | None) -> None:
        """Load beside the loop, since a server may take its time, and then go over to it.

        Any thread and any signal handler may call this, also in the middle of an earlier call. A
        load that did not begin yet does for all who ask for the same.
        """
        asked = None if runners is None else tuple(r.channel.codifier for r in runners)
        if asked in self._asked:
            return
        self._asked.add(asked)

        def load() -> None:
            self._asked.discard(asked)
            self.on_progress(True)
            try:
                config = self._load()
            except ConfigError as error:
                for mistake in str(error).splitlines():  # each with the document
                    log.error("the configuration stays as it was: %s", mistake)
                self.on_progress(False)
                return
            except Exception:
                log.exception("the configuration stays as it was")
                self.on_progress(False)
                return
            self._node.loop.soon(lambda: self._go_over(config, runners))

        # By way of the loop: a mailbox has a lock, which the interrupted thread may hold.
        self._node.loop.soon(lambda: self._node.housekeeping.post(load))

    def _go_over(self, config: Config, named: Sequence[ComponentRunner] | None) -> None:
        node, old = self._node, self._node.config
        log.info("configuration reloaded from %s", config.source)
        node.move(config)
        wanted = None if self._choose is None else {c.codifier for c in self._choose(config)}
        differing = _differing(old, config)
        begins: list[ComponentRunner] = []
        added: list[ComponentRunner] = []
        runners = list(node.runners.items())
        standby = node.instances.standby
        if named is None and wanted is not None:
            # Before the others end: a node without any component is finished.
            for codifier in wanted - node.runners.keys() - standby.keys():
                log.info("%s is new", codifier)
                added.append(node.add_later(config.components[codifier], build))
        ends: list[threading.Event] = []
        for codifier, runner in runners:
            component = config.components.get(codifier)
            if component is not None and runner.goes_on(component):
                runner.post_config(config)
            if named is not None and runner not in named:
                continue
            if component is None or (wanted is not None and codifier not in wanted):
                log.warning("%s does not belong to this process any more and ends", codifier)
                node.remove(runner)
                ended = threading.Event()
                runner.mailbox.post(ended.set)
                ends.append(ended)
            elif named is None and runner.awaited is not None and codifier not in differing:
                pass  # it is about to begin, under this configuration
            elif named is not None or not (
                runner.is_built and (codifier not in differing or runner.carries_on(component))
            ):
                log.info("%s starts again", codifier)
                begins.append(runner)
            else:
                if codifier in differing:
                    log.info("%s takes its new entry", codifier)
                runner.channel.carry_on(component)
                runner.sign()
        for codifier in list(standby):
            if codifier not in config.components or (wanted is not None and codifier not in wanted):
                del standby[codifier]
        for runner in begins:
            node.starter.rebuild(runner, config.components[runner.channel.codifier], ends)
        node.starter.begin_new(added, ends)
        node.finish_if_empty()
        self.on_progress(False)


def _differing(old: Config, new: Config) -> set[str]:
    """Return the Codifiers whose components are new or different in the new configuration."""
    before, after = _entries(old), _entries(new)
    types = {c.type for c in (*old.components.values(), *new.components.values())}
    changed = {type for type in types if _entry(old.first(type)) != _entry(new.first(type))}
    return {
        codifier
        for codifier in before.keys() | after.keys()
        if before.get(codifier) != after.get(codifier)
        or not changed.isdisjoint(_followed(new.components[codifier]))
    }


def _entries(config: Config) -> dict[str, list[Mapping[str, object]]]:
    """Return for each component its entry and the entries of its proxies."""
    return {
        codifier: [component.entry, *(_entry(config.components.get(p)) for p in component.serves)]
        for codifier, component in config.components.items()
    }


def _entry(component: Component | None) -> Mapping[str, object]:
    return component.entry if component else {}


def _followed(component: Component) -> tuple[str, ...]:
    """Return the types whose first component this one depends on, by its class."""
    if component.type in registry.NEVER_RUN:
        return ()
    try:
        cls = registry.find(component.type)
    except ConfigError:
        return ()
    follows: tuple[str, ...] = getattr(cls, "follows", ())
    return follows
