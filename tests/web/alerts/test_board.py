from jph.alerts.telling import Order, Told, Verb, fitting
from tests.web.bus import component, config_of, control, reading
from web.alerts import board as board_module
from web.alerts.board import Board

ALERTS = component("AL", type="Alerts", sensor_interval_s=60)
CONFIG = config_of(component("A1"), ALERTS)
TELL = Order(Verb.TELL).number()


class Asked(list):
    has_bus = True

    def __call__(self, to, number):
        if self.has_bus:
            self.append((to, number))
        return self.has_bus


def board():
    asked = Asked()
    return Board(CONFIG, asked), asked


def told(number=1, state="firing", severity="warning", since=1000, **given):
    return Told(number, "warm", "A1", state, severity, since, since, text="Load is warm", **given)


def post(made, *alerts, value=None, **parts):
    for alert in alerts:
        count = 1 if value is None else value
        made.on_batch([reading("AL", fitting({"value": count}, alert=alert, **parts))])


def test_it_asks_at_the_start_and_when_the_component_starts(monkeypatch):
    made, asked = board()
    assert asked == [("AL", TELL)]
    made.on_control(control("N", "AL"))
    assert len(asked) == 1  # just asked
    monkeypatch.setattr(board_module, "ASK_S", 0.0)
    made.on_control(control("N", "AL"))
    made.on_control(control("N", "A1"))
    assert len(asked) == 2


def test_alerts_come_change_and_end():
    made, _ = board()
    post(made, told(1), told(2, severity="critical"))
    assert [it.told.id for it in made.alerts()] == [2, 1]
    assert made.frame() == {"alerts": {"firing": 2, "worst": "critical", "version": made.version}}
    before = made.version
    post(made, told(2, severity="critical"))
    assert made.version == before
    post(made, told(2, "acknowledged", "critical"))
    assert [(it.told.id, it.told.state) for it in made.alerts()] == [
        (1, "firing"),
        (2, "acknowledged"),
    ]
    post(made, told(2, "ended"), told(9, "ended"))
    assert [it.told.id for it in made.alerts()] == [1]
    assert [it.told.id for it in made.ended()] == [2]


def test_a_number_that_is_not_that_of_the_known_alerts_is_asked_about(monkeypatch):
    monkeypatch.setattr(board_module, "ASK_S", 0.0)
    made, asked = board()
    post(made, told(1), value=3)
    assert len(asked) == 1  # more news may follow
    made.on_batch([reading("AL", {"value": 1})])
    assert len(asked) == 1
    made.on_batch([reading("AL", {"value": 2})])
    assert len(asked) == 2


def test_what_is_not_told_again_is_gone(monkeypatch):
    monkeypatch.setattr(board_module, "ASK_S", 0.0)
    monkeypatch.setattr(board_module, "ANSWER_S", 0.0)
    made, _ = board()
    post(made, told(1), told(2))
    made.ask("AL")
    post(made, told(1))
    monkeypatch.setattr(board_module.time, "monotonic", lambda: 1e9)
    made.on_batch([reading("AL", {"value": 1})])
    assert [it.told.id for it in made.alerts()] == [1]
    assert [(it.told.id, it.told.state) for it in made.ended()] == [(2, "ended")]


def test_maintenance_and_tests_are_heard():
    made, _ = board()
    upkeep = {"of": "host", "name": "pi1", "until": 1 << 45}
    made.on_batch([reading("AL", {"value": 0, "maintenance": upkeep})])
    assert [(it.of, it.name) for it in made.upkeep()] == [("host", "pi1")]
    made.on_batch([reading("AL", {"value": 0, "maintenance": {**upkeep, "until": 0}})])
    assert made.upkeep() == []
    tested = {"contact": "phone", "ok": False, "text": "no"}
    made.on_batch([reading("AL", {"value": 0, "tested": tested})])
    assert made.tested("AL", "phone", 0.0).text == "no"
    assert made.tested("AL", "phone", 1e12) is None


def test_whoever_sends_ever_more_fills_no_memory():
    made, _ = board()
    for number in range(board_module.MOST_ALERTS + 100):
        tested = {"contact": str(number), "ok": True, "text": ""}
        upkeep = {"of": "host", "name": str(number), "until": 1 << 45}
        post(made, told(number), tested=tested, maintenance=upkeep)
    assert len(made._alerts) == board_module.MOST_ALERTS
    assert len(made._tested) <= board_module.MOST_TESTED
    assert len(made._upkeep) == board_module.MOST_UPKEEP


def test_others_and_nonsense_change_nothing():
    made, _ = board()
    before = made.version
    for value in (1.0, 3, "text", {"value": 0, "alert": {"id": 1}}, {"value": 0, "tested": 3}):
        made.on_batch([reading("AL", value), reading("A1", value)])
    assert made.version == before and made.alerts() == []


def test_what_is_said_reaches_the_listeners_though_nothing_changed():
    made, _ = board()
    heard = []
    made.listeners.append(lambda posted, said: heard.append((posted.told.id, said)))
    post(made, told(1))
    post(made, told(1), said="begins")
    assert heard == [(1, ""), (1, "begins")]


def test_a_network_without_alerts_tells_pages_nothing():
    assert Board(config_of(component("A1")), lambda to, number: True).frame() == {}


def test_what_could_not_be_asked_without_a_bus_is_asked_when_the_component_announces_itself():
    asked = Asked()
    asked.has_bus = False
    board = Board(CONFIG, asked)
    asked.has_bus = True
    assert asked == []
    board.on_control(control("N", "AL", number=1.0))
    assert asked == [("AL", TELL)]
