"""Commands to components."""

from web import commands
from web.api_v1 import models
from web.api_v1.components import record_of
from web.api_v1.endpoints import ENDPOINTS
from web.people.access import Role

FLAGS = {word: flag for flag, word in commands.FLAGS.items()}


@ENDPOINTS.add(
    "POST",
    "/components/<codifier:codifier>/commands",
    role=Role.OPERATOR,
    body=models.Command,
    answer=models.Outcome,
    errors=(409, 503),
)
def command(codifier: str, body: models.PlainCommand | models.NumberCommand) -> models.Outcome:
    """Send a command, and return what became of it, which may take some seconds."""
    component = record_of(codifier).component
    number = body.number if isinstance(body, models.NumberCommand) else None
    outcome, trip_ms = commands.tell(component, FLAGS[body.command], number)
    return {
        "codifier": codifier,
        "command": body.command,
        "done": outcome.is_done,
        "outcome": outcome.text,
        "round_trip_ms": trip_ms,
    }
