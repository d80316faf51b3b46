"""What messages make of boards: sessions, names, stages."""

from dataclasses import replace

import pytest

from gateways.esp32.boards import OVERTAKEN_MS, QUIET_MS, SILENT_MS, UNUSED_MS, Boards, Listening
from gateways.esp32.protocol import Join, Leave, Refused, Report, Start

MAC, OTHER = "61:EC:ED:3B:25:B1", "61:EC:ED:3B:25:B2"
NOW_US = 1_743_946_777_603_371
NOW_MS = NOW_US // 1000


class Rig:
    """Boards to which each message is a transaction of its own."""

    def __init__(self, accounts=False):
        self.boards = Boards()
        self.listening = Listening(accounts=accounts)
        self.false_leaves = []

    def do(self, what, *arguments):
        draft = self.boards.draft(self.listening)
        made = getattr(draft, what)(*arguments)
        self.boards.apply(draft)
        self.false_leaves += draft.false_leaves
        return made

    def join(self, mac=MAC, now_us=NOW_US):
        return self.do("join", Join(mac), now_us)

    def started(self, mac=MAC, now_us=NOW_US):
        board = self.join(mac, now_us)
        return self.do("start", Start(board.name, board.session), now_us // 1000)

    def report(self, board, value=1, kind="photoresistor", now_ms=NOW_MS):
        return self.do("report", Report(kind, board.own_name, board.session, value), now_ms)

    def leave(self, board, now_ms):
        return self.do("leave", Leave(board.own_name, board.session), now_ms)

    def look(self, now_ms, mac=MAC):
        self.do("leave_silent", now_ms)
        return self.boards.of_mac(mac)

    def refused(self, what, *arguments):
        with pytest.raises(Refused) as refused:
            self.do(what, *arguments)
        return refused.value.reason


@pytest.fixture
def rig():
    return Rig()


@pytest.fixture
def guarded():
    """Return boards that have an account each."""
    return Rig(accounts=True)


def test_boards_are_named_one_after_the_other(rig):
    names = [rig.join(f"61:EC:ED:3B:00:{n:02X}").name for n in range(101)]
    assert names[:2] == ["capteur01", "capteur02"]
    assert names[98:] == ["capteur99", "capteur100", "capteur101"]


def test_a_name_that_somebody_chose_is_not_given_again(rig):
    rig.join()
    rig.do("rename", "capteur01", "capteur02")
    assert rig.join(OTHER).name == "capteur03"


def test_a_repeated_mac_gets_the_same_answer_until_the_session_is_used(rig):
    first = rig.join()
    again = rig.join(now_us=NOW_US + 600_000_000)
    assert (
        (again.name, again.session) == (first.name, first.session) == ("capteur01", first.session)
    )
    started = rig.do("start", Start("capteur01", first.session), NOW_MS)
    assert started.connected
    newer = rig.join(now_us=NOW_US + 700_000_000)
    assert newer.session != first.session
    assert newer.name == "capteur01"
    assert not newer.connected


def test_a_session_with_a_value_is_not_given_again(rig):
    board = rig.join()
    used = rig.report(board, 5)
    assert not used.connected
    assert rig.join().session != board.session


def test_sessions_differ_though_the_clock_stands_or_goes_back(rig):
    sessions = [rig.started(now_us=NOW_US - back).session for back in (0, 0, 5_000_000)]
    assert sessions == ["1743946777.603371", "1743946777.603372", "1743946777.603373"]


def test_messages_of_an_older_session_are_refused(rig):
    older = rig.started()
    newer = rig.join()
    for what, message in (
        ("report", Report("led", older.name, older.session, 1)),
        ("leave", Leave(older.name, older.session)),
        ("start", Start(older.name, older.session)),
    ):
        assert rig.refused(what, message, NOW_MS) == "older session"
    assert rig.refused("start", Start("nobody", older.session), NOW_MS) == "unknown board"
    assert rig.boards.of_mac(MAC) == newer


def test_a_session_belongs_to_one_name(rig):
    board = rig.started()
    other = rig.started(OTHER)
    message = Leave(other.name, board.session)
    assert rig.refused("leave", message, NOW_MS) == "older session"
    assert rig.boards.named(board.name).connected


def test_of_two_boards_with_one_mac_the_last_to_join_goes_on(rig):
    one = rig.started()
    other = rig.started()
    assert rig.refused("report", Report("led", one.name, one.session, 1), NOW_MS) == "older session"
    assert rig.report(other, 50).light == ((NOW_MS, 50),)
    assert len(rig.boards) == 1


def test_a_board_that_left_is_back_with_its_next_value(rig):
    board = rig.started()
    left = rig.do("leave", Leave(board.name, board.session), NOW_MS + 5)
    assert (left.connected, left.since_ms) == (False, NOW_MS + 5)
    overtaken = rig.report(board, now_ms=NOW_MS + 4 + OVERTAKEN_MS)
    assert not overtaken.connected
    back = rig.report(board, now_ms=NOW_MS + 5 + OVERTAKEN_MS)
    assert (back.connected, back.since_ms) == (True, NOW_MS + 5 + OVERTAKEN_MS)


def test_the_last_values_are_kept(rig):
    board = rig.started()
    for value in range(12):
        board = rig.report(board, value, now_ms=NOW_MS + value)
    board = rig.report(board, 1, "led", NOW_MS + 20)
    board = rig.report(board, 0, "button", NOW_MS + 21)
    assert [value for _, value in board.light] == list(range(2, 12))
    assert (board.led, board.led_ms, board.button) == (True, NOW_MS + 20, False)
    assert board.seen_ms == NOW_MS + 21
    assert board.since_ms == NOW_MS


def test_a_board_takes_another_name_when_it_joins_again(rig):
    board = rig.started()
    renamed = rig.do("rename", "capteur01", "LeBron")
    assert (renamed.name, renamed.own_name) == ("LeBron", "capteur01")
    assert rig.report(renamed, 7).light[-1][1] == 7
    assert rig.report(board, 8).light[-1][1] == 8
    with pytest.raises(ValueError, match="another board is called capteur01"):
        rig.join(OTHER)
        rig.do("rename", "capteur02", "capteur01")
    joined = rig.join()
    assert (joined.name, joined.own_name) == ("LeBron", "LeBron")
    rig.do("rename", "capteur02", "capteur01")


def test_no_board_gets_a_name_that_none_can_have(rig):
    rig.join()
    rig.join(OTHER)
    for new, words in (("a;b", "has a ;"), ("x" * 30, "more than 29"), ("capteur02", "another")):
        with pytest.raises(ValueError, match=words):
            rig.do("rename", "capteur01", new)
    with pytest.raises(LookupError):
        rig.do("rename", "nobody", "x")


def test_a_board_that_is_forgotten_is_new_when_it_joins(rig):
    board = rig.started()
    rig.do("rename", "capteur01", "LeBron")
    rig.do("forget", "LeBron")
    assert not list(rig.boards)
    message = Report("led", board.own_name, board.session, 1)
    assert rig.refused("report", message, NOW_MS) == "unknown board"
    again = rig.join(now_us=NOW_US + 1_000_000)
    assert again.name == "capteur01"
    assert again.session != board.session


def test_what_is_not_applied_has_not_been(rig):
    rig.started()
    draft = rig.boards.draft()
    draft.join(Join(MAC), NOW_US + 1)
    draft.join(Join(OTHER), NOW_US + 1)
    assert rig.boards.named("capteur01").connected
    assert rig.boards.named("capteur02") is None


def test_a_board_that_is_silent_for_a_minute_has_left(rig):
    board = rig.started()
    assert rig.look(NOW_MS + SILENT_MS - 1).connected
    gone = rig.look(NOW_MS + SILENT_MS)
    assert (gone.connected, gone.since_ms) == (False, NOW_MS + SILENT_MS)
    assert rig.report(board, now_ms=NOW_MS + SILENT_MS + OVERTAKEN_MS).connected


def test_boards_that_only_join_are_bounded_and_forgotten(rig, monkeypatch):
    monkeypatch.setattr("gateways.esp32.boards.MOST_BOARDS", 4)
    works, renamed = rig.report(rig.join(), 5), rig.join(OTHER)
    rig.do("rename", renamed.name, "LeBron")
    rig.join(mac=works.mac)  # a session that it has not used yet; it said something in another one
    for number in range(2):
        rig.join(f"61:EC:ED:3B:00:{number:02X}")
    assert rig.refused("join", Join("61:EC:ED:3B:00:02"), NOW_US) == "too many boards"
    assert rig.join(OTHER).name == "LeBron"
    rig.do("forget_unused", NOW_MS + UNUSED_MS)
    assert len(rig.boards) == 4
    rig.do("forget_unused", NOW_MS + UNUSED_MS + 1)
    assert {board.mac for board in rig.boards} == {MAC, OTHER}
    assert rig.join("61:EC:ED:3B:00:02").name == "capteur03"


def test_silence_counts_while_boards_are_listened_to(rig):
    rig.started()
    rig.listening = Listening(NOW_MS + 2 * SILENT_MS)
    assert rig.look(NOW_MS + 2 * SILENT_MS).connected
    assert not rig.look(NOW_MS + 3 * SILENT_MS).connected


def test_with_accounts_a_leave_counts_when_the_board_is_silent(guarded):
    board = guarded.started()
    doubted = guarded.leave(board, NOW_MS + 3000)
    assert (doubted.connected, doubted.since_ms) == (True, board.since_ms)
    assert guarded.leave(board, NOW_MS + 4000) == doubted
    assert guarded.look(NOW_MS + QUIET_MS - 1).connected
    gone = guarded.look(NOW_MS + QUIET_MS)
    assert (gone.connected, gone.since_ms) == (False, NOW_MS + QUIET_MS)
    assert not guarded.false_leaves


def test_with_accounts_a_value_shows_that_a_leave_is_false(guarded):
    board = guarded.started()
    guarded.leave(board, NOW_MS + 100)
    # A value of before may be overtaken by the board's will, which is in doubt still.
    assert guarded.report(board, now_ms=NOW_MS + 200).stage == "leaving"
    assert not guarded.false_leaves
    board = guarded.report(board, now_ms=NOW_MS + 100 + OVERTAKEN_MS)
    assert board.stage == "started"
    assert guarded.false_leaves == [(NOW_MS + 100, Leave(board.own_name, board.session))]
    assert guarded.look(NOW_MS + 100 + QUIET_MS).connected
    assert board.since_ms == NOW_MS


def test_with_accounts_a_leave_of_who_is_silent_already_counts_at_once(guarded):
    board = guarded.started()
    assert not guarded.leave(board, NOW_MS + QUIET_MS).connected


def test_with_accounts_a_mac_begins_no_session_while_one_goes_on(guarded):
    board = guarded.started()
    for after_ms in (0, 5000, 9999):
        now_us = NOW_US + after_ms * 1000
        assert guarded.refused("join", Join(MAC), now_us) == "session goes on"
    assert guarded.boards.of_mac(MAC) == board  # its silence goes on, too
    joined = guarded.join(now_us=NOW_US + QUIET_MS * 1000)
    assert (joined.stage, joined.name) == ("assigned", board.name)
    assert joined.session != board.session


def test_with_accounts_a_session_that_is_used_or_in_doubt_goes_on(guarded):
    used = guarded.report(guarded.join(), 5)
    assert guarded.refused("join", Join(MAC), NOW_US) == "session goes on"
    leave = Leave(used.own_name, used.session)
    assert guarded.refused("leave", leave, NOW_MS) == "false leave"
    other = guarded.started(OTHER)
    guarded.leave(other, NOW_MS)
    assert guarded.refused("join", Join(OTHER), NOW_US) == "session goes on"


def test_with_accounts_name_and_session_of_a_started_session_change_nothing(guarded):
    board = guarded.started()
    again = Start(board.name, board.session)
    assert guarded.refused("start", again, NOW_MS + 5000) == "session goes on"
    assert guarded.boards.of_mac(MAC) == board
    guarded.leave(board, NOW_MS + 5000)
    assert guarded.refused("start", again, NOW_MS + 6000) == "session goes on"
    assert not guarded.look(NOW_MS + QUIET_MS).connected
    assert guarded.do("start", again, NOW_MS + QUIET_MS + 1).connected


def test_with_accounts_silence_of_before_a_restart_of_ours_tells_nothing(guarded):
    board = guarded.started()
    guarded.leave(board, NOW_MS)
    guarded.boards = Boards(replace(each, left_ms=None) for each in guarded.boards)
    back_ms = NOW_MS + 100_000
    guarded.listening = Listening(back_ms, accounts=True)
    assert guarded.refused("join", Join(MAC), (back_ms + 1) * 1000) == "session goes on"
    assert guarded.look(back_ms + QUIET_MS - 1).connected
    report = Report("photoresistor", board.own_name, board.session, 5)
    draft = guarded.boards.draft(guarded.listening)
    draft.report(report, back_ms + 1)
    assert draft.false_leaves == [(back_ms + 1, Leave(board.own_name, board.session))]
    assert not guarded.look(back_ms + QUIET_MS).connected


def test_with_accounts_a_clock_that_is_put_back_keeps_nobody_out_for_long(guarded):
    guarded.started()
    early_us = NOW_US - 3_600_000_000
    guarded.listening = Listening(early_us // 1000, accounts=True)
    assert guarded.refused("join", Join(MAC), early_us) == "session goes on"
    assert guarded.join(now_us=early_us + QUIET_MS * 1000).stage == "assigned"
