"""What goes into the API of Tenta and comes out of it."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, JsonValue
from typing_extensions import TypedDict

from gateways.endpoints import Query, Strict
from gateways.tenta.configurations import mistakes_of_json

MOST_INT4 = 2**31
PASSWORD = Field(min_length=8, max_length=256, examples=["correct horse battery"])

Name = Annotated[
    str, Field(max_length=64, pattern=r"^[a-z0-9](-?[a-z0-9])*$", examples=["greenhouse-2"])
]
IdentifierText = Annotated[
    str,
    Field(
        pattern=r"^[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[89ab][a-f0-9]{3}-[a-f0-9]{12}$",
        examples=["81bf7042-e20f-4a97-ac44-c15853e3618f"],
    ),
]
Identifier = Annotated[IdentifierText, AfterValidator(UUID)]
Password = Annotated[str, PASSWORD]
Token = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Revision = Annotated[int, Field(ge=0, lt=MOST_INT4)]
Timestamp = Annotated[float, Field(description="seconds since 1970")]
Cursor = Annotated[
    float, Field(ge=0, lt=MOST_INT4, description="time to begin at, which is not included itself")
]
Way = Annotated[
    Literal["next", "previous"],
    Field(description="what follows, or lies before; without a cursor the first or the last page"),
]


def _checked(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if found := mistakes_of_json(value):
        raise ValueError(found[0])
    return value


Configuration = Annotated[dict[str, JsonValue], AfterValidator(_checked)]


class Credentials(Strict):
    """Name and password of a user."""

    user_name: Name
    password: Password


class NewNetwork(Strict):
    """A network."""

    network_name: Name


class NewSensor(Strict):
    """A sensor, or its new name."""

    sensor_name: Name


class NewPermission(Strict):
    """Who is to have a network, too."""

    user_name: Name


class RevisionPage(Query):
    """A page of revisions."""

    direction: Way = "next"
    revision: Annotated[
        Revision | None, Field(description="revision to begin at, which is not included itself")
    ] = None


class LogPage(Query):
    """A page of lines of a log."""

    direction: Way = "next"
    creation_timestamp: Cursor | None = None


class MeasurementPage(LogPage):
    """A page of measurements."""

    aggregate: Annotated[
        bool, Field(description="answer with hourly averages of the last four weeks instead")
    ] = False


class Status(TypedDict):
    """The state of the server."""

    environment: str
    commit_sha: str
    branch_name: str
    start_timestamp: float
    mqtt_hostname: str
    mqtt_port: int


class SignedIn(TypedDict):
    """A user and a token, with which to ask."""

    user_identifier: IdentifierText
    access_token: Token


class UserIdentifier(TypedDict):
    """Of a user."""

    user_identifier: IdentifierText


class UserEntry(UserIdentifier):
    """A user whose network it is."""

    user_name: str


class NetworkIdentifier(TypedDict):
    """Of a new network."""

    network_identifier: IdentifierText


class NetworkEntry(TypedDict):
    """A network of the user."""

    network_identifier: IdentifierText
    network_name: str


class SensorIdentifier(TypedDict):
    """Of a new sensor."""

    sensor_identifier: IdentifierText


class SensorEntry(TypedDict):
    """A sensor of a network."""

    sensor_identifier: IdentifierText
    sensor_name: str


class SensorActivity(SensorEntry):
    """How many measurements a sensor sent, in spans of four hours."""

    bucket_timestamps: list[float]
    measurements_counts: list[int]


class NewRevision(TypedDict):
    """The number of a new configuration."""

    revision: int


class ConfigurationEntry(TypedDict):
    """A configuration, and what became of it."""

    value: dict[str, Any]
    revision: int
    creation_timestamp: Timestamp
    publication_timestamp: Timestamp | None
    acknowledgment_timestamp: Timestamp | None
    receipt_timestamp: Timestamp | None
    success: bool | None


class MeasurementEntry(TypedDict):
    """What a sensor measured at one time."""

    revision: int | None
    creation_timestamp: Timestamp
    value: dict[str, float]


class HourlyAverage(TypedDict):
    """The average of an hour."""

    bucket_timestamp: Timestamp
    average: float


class LogEntry(TypedDict):
    """A line of a log."""

    severity: str
    message: str
    revision: int | None
    creation_timestamp: Timestamp


class HermesLogEntry(TypedDict):
    """A line of a log, in the flavour of hermes."""

    severity: str
    subject: str
    details: str | None
    revision: int | None
    creation_timestamp: Timestamp


class _Aggregate(TypedDict):
    severity: str
    min_revision: int | None
    max_revision: int | None
    min_creation_timestamp: Timestamp
    max_creation_timestamp: Timestamp
    count: int


class LogAggregateEntry(_Aggregate):
    """Equal warnings or errors."""

    message: str


class HermesLogAggregateEntry(_Aggregate):
    """Equal warnings or errors, in the flavour of hermes."""

    subject: str
