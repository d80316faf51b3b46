"""What a graph is: functions, links to the features of devices, and a join between them.

All of it is immutable. What changes a graph returns a new one, or raises a ValueError whose text
tells the client why not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Literal

MOST_SOURCE = 64 << 10  # bytes of a function
MOST_SOURCES = 1 << 20  # characters of all functions of a graph
MOST_FUNCTIONS = 256  # of a graph
MOST_LINKS = 256  # of a graph

Kind = Literal["idf", "odf"]
InputType = Literal["sample", "variant"]


def digest_of(source: str) -> str:
    """Return the name that clients give a function: SHA-256 of its UTF-8 text, in hex."""
    return sha256(source.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Feature:
    """An input or output feature of a device."""

    device: str
    name: str
    kind: Kind

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} of {self.device}"


@dataclass(frozen=True, slots=True)
class Use:
    """A function of the graph where it is used, and those that it calls, as (alias, digest)."""

    digest: str
    depends: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, digest: str | None, depends: Mapping[str, str] | None = None) -> "Use | None":
        """Return the use of a function, as requests tell it; None for none."""
        return cls(digest, tuple(sorted((depends or {}).items()))) if digest else None

    def digests(self) -> Iterable[str]:
        """Yield the digests of all functions that it needs."""
        yield self.digest
        yield from (digest for _, digest in self.depends)


@dataclass(frozen=True, slots=True)
class Link:
    """A feature in a graph.

    Args:
        use: the function that its values pass; None: they pass unchanged.
        input_type: variant: an input's values become their difference to the ones before.
        param_no: how many values a message has; None: as many as come.
        tag_param_no: how many more behind them, which `variant` leaves alone.
    """

    feature: Feature
    use: Use | None = None
    input_type: InputType = "sample"
    param_no: int | None = None
    tag_param_no: int = 0

    @property
    def length(self) -> int | None:
        """How many values a message has, with tags; None: as many as come."""
        return None if self.param_no is None else self.param_no + self.tag_param_no


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph; the order of its input links is the order of the join's arguments.

    Args:
        key: its name, not used twice in an engine.
        functions: source by digest.
    """

    key: str
    functions: Mapping[str, str] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    join: Use | None = None

    @property
    def uses(self) -> list[Use]:
        """The functions where they are used."""
        return [use for use in (self.join, *(link.use for link in self.links)) if use]

    @property
    def inputs(self) -> tuple[Link, ...]:
        """Links to input features."""
        return tuple(link for link in self.links if link.feature.kind == "idf")

    @property
    def outputs(self) -> tuple[Link, ...]:
        """Links to output features."""
        return tuple(link for link in self.links if link.feature.kind == "odf")

    def link(self, feature: Feature) -> Link:
        """Return the link to a feature; ValueError if there is none."""
        for link in self.links:
            if link.feature == feature:
                return link
        raise ValueError(f"the graph has no link to {feature}")

    def add_functions(self, sources: Iterable[str], digests: Iterable[str]) -> "Graph":
        """Add functions; those that it has already stay.

        Raises:
            ValueError: a digest is not the one of its source, or there are too many.
        """
        pairs = list(zip(sources, digests, strict=True))
        for source, digest in pairs:
            if len(source.encode()) > MOST_SOURCE:
                raise ValueError(f"function {digest} has more than {MOST_SOURCE} bytes")
            if digest_of(source) != digest:
                raise ValueError(f"{digest} is not the digest of its source {source[:60]!r}")
        functions = {**self.functions, **{digest: source for source, digest in pairs}}
        if len(functions) > MOST_FUNCTIONS:
            raise ValueError(f"a graph has at most {MOST_FUNCTIONS} functions")
        if sum(map(len, functions.values())) > MOST_SOURCES:
            raise ValueError(f"the functions of a graph have at most {MOST_SOURCES} characters")
        return replace(self, functions=functions)

    def remove_functions(self, digests: Iterable[str]) -> "Graph":
        """Remove functions; ValueError if one is unknown or in use."""
        gone = set(digests)
        self._know(gone)
        for use in (self.join, *(link.use for link in self.links)):
            if use is not None and (used := gone.intersection(use.digests())):
                raise ValueError(f"function {min(used)} is in use; take it out of the graph first")
        left = {digest: it for digest, it in self.functions.items() if digest not in gone}
        return replace(self, functions=left)

    def add_link(self, link: Link) -> "Graph":
        """Add a link; ValueError if another one is there to the feature, or its function unknown.

        A program that starts anew adds all its links again; what is there already is as it wants.
        """
        if link in self.links:
            return self
        if any(it.feature == link.feature for it in self.links):
            raise ValueError(f"the graph has a link to {link.feature} already")
        if len(self.links) == MOST_LINKS:
            raise ValueError(f"a graph has at most {MOST_LINKS} links")
        if link.input_type not in ("sample", "variant"):
            raise ValueError(f"input_type is sample or variant, not {link.input_type!r}")
        if (link.param_no is not None and link.param_no < 0) or link.tag_param_no < 0:
            raise ValueError("param_no and tag_param_no are not negative")
        self._know_use(link.use)
        return replace(self, links=(*self.links, link))

    def remove_link(self, feature: Feature) -> "Graph":
        """Remove a link; ValueError if there is none."""
        gone = self.link(feature)
        return replace(self, links=tuple(link for link in self.links if link != gone))

    def set_join(self, previous: str | None, new: Use | None) -> "Graph":
        """Replace the join; ValueError if it is not `previous` now, or `new` is unknown."""
        self._same(self.join, previous)
        self._know_use(new)
        return replace(self, join=new)

    def set_function(
        self,
        feature: Feature,
        previous: str | None,
        new: Use | None,
        input_type: InputType | None = None,
    ) -> "Graph":
        """Replace the function of a link, and its input type if one is given; see `set_join`."""
        link = self.link(feature)
        self._same(link.use, previous)
        self._know_use(new)
        changed = replace(link, use=new, input_type=input_type or link.input_type)
        return replace(self, links=tuple(changed if it == link else it for it in self.links))

    def _know(self, digests: Iterable[str]) -> None:
        for digest in digests:
            if digest not in self.functions:
                raise ValueError(f"the graph has no function {digest}; add it by add_funcs")

    def _know_use(self, use: Use | None) -> None:
        if use is not None:
            self._know(use.digests())

    @staticmethod
    def _same(use: Use | None, previous: str | None) -> None:
        now = use.digest if use else None
        if now != (previous or None):
            raise ValueError(f"`prev` field mismatch: the function is {now or 'none'} now")
