"""Which extras of JPH the components of a configuration need on this machine."""

from collections.abc import Iterator

from jph import registry
from jph.config.checks import runs_here
from jph.config.model import Component, Config
from jph.devices import PORTS
from jph.stores import HISTORY_STORES, STATE_STORES

# These write or read the stores of the network, also those that others name.
_USE_STORES = ("HistoryWriter", "SetPoint", "StateCache", "Statistics", "Web")
# The kernel reads these sensors. The packages of the extra are another way, for machines where it
# cannot, and one of them is compiled.
_DO_WITHOUT = ("AM2302",)


def extras_needed(config: Config) -> list[str]:
    """Return the names of the extras, in alphabetical order."""
    here = [
        component
        for component in config.components.values()
        if runs_here(component.entry) and registry.is_run(component.type)
    ]
    extras = {
        registry.EXTRAS[component.type].removeprefix("jph[").removesuffix("]")
        for component in here
        if component.type in registry.EXTRAS and component.type not in _DO_WITHOUT
    }
    if any(component.type in _USE_STORES for component in here):
        extras.update(*map(_of_stores, config.components.values()))
    if any(
        component.type == "Web" and component.settings.get("Server") == "gevent"
        for component in here
    ):
        extras.add("gevent")
    if any(
        component.type == "Broker" and component.settings.get("Engine") == "nats"
        for component in here
    ):
        extras.add("nats")
    if any(
        component.type in PORTS and str(component.settings.get("Store")).startswith("postgres")
        for component in here
    ):
        extras.add("postgres")
    if any(_uses_apprise(component) for component in here):
        extras.add("apprise")
    return sorted(extras)


def _uses_apprise(component: Component) -> bool:
    contacts = component.settings.get("Contacts") if component.type == "Alerts" else None
    return isinstance(contacts, list) and any(
        isinstance(contact, dict) and contact.get("Kind") == "apprise" for contact in contacts
    )


def _of_stores(component: Component) -> Iterator[str]:
    """Yield the extras of the stores that a component names."""
    if component.type not in _USE_STORES:
        return
    if component.settings.get("SQL"):
        yield "postgres"
    stores = {**STATE_STORES, **HISTORY_STORES}
    for key in ("URL", "State", "History"):
        url = component.settings.get(key)
        if isinstance(url, str) and (scheme := url.partition(":")[0].lower()) in stores:
            _, _, extra = stores[scheme]
            if extra:
                yield extra
