"""What comes in and what goes out: these declarations check requests and make the OpenAPI document.

What comes in are models of pydantic; what goes out are typed dictionaries, which cost nothing.
Times are ms since 1970 (UTC).
"""

from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,  # with that of Python 3.11 pydantic makes no schema
)

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from typing_extensions import (
    TypedDict,
)

from jph.alerts.telling import LONGEST_S
from jph.bus.wire import TIMESTAMP_LIMIT
from jph.config.status import Status

MOST_COMPONENTS = 1_000
MOST_EVENTS = 1_000
MOST_POINTS = 5_000

Codifier = Annotated[str, Field(pattern=r"^[!-~]{2}$", description="two visible characters")]
Word = Annotated[str, Field(max_length=60)]
# JSON has one kind of number: 5.0 is whole, too.
WHOLE = BeforeValidator(lambda it: int(it) if isinstance(it, float) and it.is_integer() else it)
TimeMs = Annotated[int, Field(ge=0, le=TIMESTAMP_LIMIT, description="ms since 1970"), WHOLE]
Value = Annotated[
    JsonValue, Field(description="a number, a text or an object, as the component sends it")
]


class Given(BaseModel):
    """What comes in; an unknown name is a mistake."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


# Components and states


class ComponentQuery(Given):
    """Which components, and how many."""

    codifier: list[Codifier] = Field([], max_length=100, description="these alone")
    area: list[Word] = Field([], max_length=9, description="in these areas or parts of them")
    label: list[Word] = Field([], max_length=9, description="with one of these labels")
    type: list[Word] = Field([], max_length=9, description="of these types, such as Pipe")
    status: list[Status] = Field([], max_length=5, description="in one of these")
    after: Codifier | None = Field(None, description="`next` of the page before")
    limit: int = Field(MOST_COMPONENTS, ge=1, le=MOST_COMPONENTS, description="of one page")


class State(TypedDict):
    """The last state of a component."""

    codifier: str
    status: Status
    reason: Annotated[str, Field(description="why it is failing, where that is known")]
    value: Value
    text: Annotated[str, Field(description="the value for people")]
    unit: Annotated[str, Field(description="the unit of the text, perhaps with a prefix")]
    time: Annotated[int | None, Field(description="of the value, by the clock of its sender")]
    heard: Annotated[int | None, Field(description="when it was heard, by our clock")]
    sign_of_life: int | None
    active: Annotated[bool | None, Field(description="not halted, by its last sign of life")]
    loaded: Annotated[float | None, Field(description="when it loaded its configuration")]
    readings_lost: int
    messages_lost: Annotated[int, Field(description="on the control channel")]
    round_trip_ms: int | None


class Component(TypedDict):
    """A component of the configuration, with its last state."""

    codifier: str
    name: str
    short_name: str
    type: str
    data_type: str
    unit: Annotated[str, Field(description="of the value")]
    area: str
    labels: list[str]
    host: str | None
    server: Annotated[str | None, Field(description="Codifier of who sends its values")]
    serves: Annotated[list[str], Field(description="Codifiers that it sends values for")]
    settable: Annotated[bool, Field(description="takes the commands set and step")]
    interval_s: float | None
    timeout_s: Annotated[float, Field(description="silence after which it counts as silent")]
    state: State


class ComponentPage(TypedDict):
    """Components by Codifier."""

    items: list[Component]
    next: Annotated[str | None, Field(description="`after` of the next page; null: no more")]


class StatePage(TypedDict):
    """States by Codifier."""

    items: list[State]
    next: Annotated[str | None, Field(description="`after` of the next page; null: no more")]


class Fault(TypedDict):
    """What hinders the network as a whole."""

    codifier: Annotated[str, Field(description="of who tells it; bus: this server")]
    what: str
    why: str
    since: int


class Network(TypedDict):
    """The network as a whole."""

    now: int
    components: Annotated[dict[Status, int], Field(description="how many are in each status")]
    faults: list[Fault]
    unknown: Annotated[list[str], Field(description="Codifiers that are heard, not configured")]
    messages_per_minute: float


# History


class SpanQuery(Given):
    """A span of time; empty unless `from` is before `to`."""

    start_ms: TimeMs | None = Field(None, alias="from", description="default: an hour before `to`")
    end_ms: TimeMs | None = Field(None, alias="to", description="default: now")


class HistoryQuery(SpanQuery):
    """Which part of a history, and as what."""

    format: Literal["json", "csv", "ndjson"] = "json"
    field: Literal["value", "mean", "median", "mode", "max", "min", "stdev"] = Field(
        "value", description="of each point; `value` is the mean where a point is several readings"
    )
    points: int = Field(
        0, ge=0, le=MOST_POINTS, description="at most so many points; 0: every reading"
    )


class StatisticsQuery(SpanQuery):
    """Which statistics, and as what."""

    format: Literal["json", "csv", "ndjson"] = "json"
    resolution: Literal["10min", "hour"] = "hour"


class Reading(TypedDict):
    """One reading."""

    time: int
    value: Value


class Point(TypedDict):
    """One reading or several, which `low` and `high` bound."""

    time: int
    value: float
    low: float
    high: float


class History(TypedDict):
    """A part of the history of one component."""

    codifier: str
    bucket_ms: Annotated[int, Field(description="width of a point; 0: each is one reading")]
    items: list[Reading] | list[Point]


class Bucket(TypedDict):
    """The statistics of 10 minutes or of an hour."""

    time: Annotated[int, Field(description="end of the bucket")]
    mean: float
    mode: float | None
    median: float
    max: float
    min: float
    stdev: float
    count: int


class Statistics(TypedDict):
    """The computed statistics of one component."""

    codifier: str
    bucket_ms: int
    items: list[Bucket]


# Events


class EventQuery(SpanQuery):
    """Which events; the newest come first."""

    codifier: list[Codifier] = Field([], max_length=100, description="of these, and of the whole")
    before: str | None = Field(
        None, pattern=r"^\d{1,15}\.\d{1,15}$", description="`next` of the page before"
    )
    limit: int = Field(100, ge=1, le=MOST_EVENTS, description="of one page")


class Event(TypedDict):
    """What happened to a component, or to the whole network."""

    number: int
    time: int
    codifier: str
    kind: str
    text: str
    who: str


class EventPage(TypedDict):
    """Events, the newest first."""

    items: list[Event]
    next: Annotated[str | None, Field(description="`before` of the next page; null: no more")]


class NewNote(Given):
    """A note of a person or a program."""

    text: str = Field(min_length=1, max_length=500)
    codifier: Codifier | None = Field(None, description="whom it is about; null: the whole network")
    time: TimeMs | None = Field(None, description="default: now")


# Alerts


class AlertQuery(Given):
    """Which alerts."""

    codifier: list[Codifier] = Field([], max_length=100, description="about these alone")


class Alert(TypedDict):
    """One alert."""

    component: Annotated[str, Field(description="Codifier of the Alerts component")]
    number: int
    rule: str
    codifier: Annotated[str, Field(description="what it is about; or the name of a node, or empty")]
    state: Annotated[
        str, Field(description="pending, firing, acknowledged, snoozed, maintained or ended")
    ]
    severity: str
    since: int
    at: Annotated[int, Field(description="when it came into this state")]
    until: Annotated[int | None, Field(description="end of a snooze")]
    value: float | None
    text: str


class Maintenance(TypedDict):
    """Maintenance of a component, a node, an area or all."""

    component: str
    of: str
    name: str
    until: int


class Alerts(TypedDict):
    """The alerts of now."""

    firing: int
    items: list[Alert]
    ended: Annotated[list[Alert], Field(description="the last ones, the newest first")]
    maintenance: list[Maintenance]


class PlainAttention(Given):
    """Acknowledge an alert, or take that back."""

    action: Literal["acknowledge", "reopen"]


class Snooze(Given):
    """Be quiet about an alert for a time."""

    action: Literal["snooze"]
    seconds: Annotated[int, Field(ge=1, le=LONGEST_S), WHOLE]


Attention = Annotated[PlainAttention | Snooze, Field(discriminator="action")]


class Attended(TypedDict):
    """What became of it."""

    done: bool
    outcome: str


class AlertRule(TypedDict):
    """A rule as it stands in the configuration, without what is as usual."""

    component: str
    rule: dict[str, Any]


class AlertRules(TypedDict):
    """The rules of all Alerts components."""

    items: list[AlertRule]


class NewRule(Given):
    """A rule of an Alerts component."""

    component: Codifier = Field(description="of the Alerts component")
    rule: dict[str, JsonValue] = Field(
        description="its settings, as docs/configuration.md has them"
    )
    replaces: str | None = Field(
        None, max_length=80, description="name of the rule that it replaces"
    )


class RuleQuery(Given):
    """Which rule."""

    component: Codifier = Field(description="of the Alerts component")
    name: str = Field(max_length=80, description="of the rule")


class NewMaintenance(Given):
    """Maintenance of a component, a node, an area or all."""

    component: Codifier = Field(description="of the Alerts component")
    of: Literal["codifier", "host", "area", "all"]
    name: str = Field("", max_length=200, description="empty for all")
    seconds: Annotated[int, Field(ge=0, le=LONGEST_S, description="0 ends it"), WHOLE]


# The configuration

Document = dict[str, Any]


class Revision(TypedDict):
    """One state of the configuration."""

    number: int
    time: int
    who: str
    why: str
    kind: Annotated[str, Field(description="found, saved, by hand, update or taken back")]
    outcome: Annotated[
        dict[str, Any], Field(description="what became of it: state, reason, and who took it")
    ]


class Configuration(TypedDict):
    """A revision and its document."""

    revision: Revision
    document: Annotated[Document, Field(description="empty if the file is no JSON object")]


class RevisionQuery(Given):
    """Which revisions; the newest come first."""

    before: int | None = Field(None, ge=1, le=1 << 53, description="`next` of the page before")
    limit: int = Field(100, ge=1, le=1000, description="of one page")


class RevisionPage(TypedDict):
    """Revisions, the newest first."""

    items: list[Revision]
    next: Annotated[int | None, Field(description="`before` of the next page; null: no more")]


class NewConfiguration(Given):
    """A document in place of the present one."""

    document: Document
    why: str = Field("", max_length=500, description="for the list of revisions")
    base: Annotated[int, WHOLE] | None = Field(
        None, description="number of the revision that it was made of; refused if there is a newer"
    )


class Restoring(Given):
    """Why an earlier revision comes back."""

    why: str = Field("", max_length=500, description="for the list of revisions")


# Commands


class PlainCommand(Given):
    """A command without a number."""

    command: Literal["halt", "start", "ping", "reload"]


class NumberCommand(Given):
    """Set a component to a value, or change it by a step."""

    command: Literal["set", "step"]
    number: float


Command = Annotated[PlainCommand | NumberCommand, Field(discriminator="command")]


class Outcome(TypedDict):
    """What became of a command."""

    codifier: str
    command: str
    done: bool
    outcome: Annotated[str, Field(description="in words")]
    round_trip_ms: Annotated[float | None, Field(description="null without an answer")]


class Mistake(TypedDict):
    """One mistake in what was sent."""

    where: str
    what: str


class Problem(TypedDict):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    mistakes: NotRequired[list[Mistake]]
