"""All endpoints: importing their modules declares them."""

from web.api_v1 import alerts, commands, components, configuration, events, history, openapi
from web.api_v1.endpoints import ENDPOINTS as ENDPOINTS

MODULES = (components, history, events, commands, alerts, configuration, openapi)
