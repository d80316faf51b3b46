"""What the plug-ins send; what else is in it, they may keep."""

from typing import Any

from pydantic import AwareDatetime, BaseModel, Field

MOST_TARGETS = 50
MOST_POINTS = 5_000


class Search(BaseModel):
    """Of /search; some send other things than words."""

    target: Any = ""


class Span(BaseModel):
    """A span of time."""

    start: AwareDatetime = Field(alias="from")
    end: AwareDatetime = Field(alias="to")


class Payload(BaseModel):
    """What was chosen for a target."""

    field: str = "value"


class Target(BaseModel):
    """One line of a graph; a target that was just added has no name."""

    target: str | None = ""
    refId: str = ""
    hide: bool = False
    payload: Payload | str | None = None


class AdhocFilter(BaseModel):
    """A filter that a person set above a dashboard."""

    key: str
    operator: str = "="
    value: str


class Query(BaseModel):
    """Of /query."""

    range: Span
    targets: list[Target] = Field([], max_length=MOST_TARGETS)
    maxDataPoints: int = Field(1000, ge=1)
    adhocFilters: list[AdhocFilter] = []


class Annotation(BaseModel):
    """What somebody set for annotations: Codifiers, with commas between them."""

    query: str | None = ""


class Annotations(BaseModel):
    """Of /annotations."""

    range: Span
    annotation: Any = None

    @property
    def codifiers(self) -> list[str]:
        """Return the Codifiers that it is about, none for all."""
        given = self.annotation if isinstance(self.annotation, dict) else {}
        return [word.strip() for word in str(given.get("query") or "").split(",") if word.strip()]


class VariablePayload(BaseModel):
    """What somebody typed for a variable."""

    target: str = ""


class Variable(BaseModel):
    """Of /variable."""

    payload: VariablePayload = VariablePayload()


class Tag(BaseModel):
    """Of /tag-values."""

    key: str
