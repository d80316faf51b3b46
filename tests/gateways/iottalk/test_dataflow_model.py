"""Changes of a graph: what they do, and why they are refused."""

import pytest

from gateways.iottalk.dataflow.model import Feature, Graph, Link, Use, digest_of

TO_INT = "def run(x): return int(x)\n"
SQUARE = "def run(x): return x ** 2\n"
MEOW = Feature("df682f01-7c3a-49fd-8f5f-72ce0b6e68c0", "meow", "idf")
SCREEN = Feature("df682f01-7c3a-49fd-8f5f-72ce0b6e68c0", "meow", "odf")
USED = Use(digest_of(SQUARE))


def graph() -> Graph:
    sources = (TO_INT, SQUARE)
    return Graph("gui/1").add_functions(sources, [digest_of(it) for it in sources])


def test_the_digests_are_those_that_the_description_prints() -> None:
    assert digest_of(TO_INT) == "f87d5c678bdd9e4b1b5f278c29cdf9a0fd01198060d8c6f3a34a6a05ae536e50"
    assert digest_of(SQUARE) == "70e3d32f1c6abde67d607e3ce77dc286ecf5d0f42fcd18e6336fac5e19a6e07c"


def test_a_wrong_digest_is_refused_and_a_known_function_may_come_again() -> None:
    with pytest.raises(ValueError, match="is not the digest"):
        graph().add_functions([TO_INT], [digest_of(SQUARE)])
    assert graph().add_functions([TO_INT], [digest_of(TO_INT)]) == graph()


def test_the_functions_of_a_graph_have_a_limit_together() -> None:
    large = [f"# {number}\n" + "#" * 60_000 for number in range(18)]
    with pytest.raises(ValueError, match="at most 1048576 characters"):
        graph().add_functions(large, map(digest_of, large))


def test_a_function_in_use_stays() -> None:
    used = graph().set_join(None, Use.of(digest_of(TO_INT), {"square": digest_of(SQUARE)}))
    with pytest.raises(ValueError, match="in use"):
        used.remove_functions([digest_of(SQUARE)])
    free = used.set_join(digest_of(TO_INT), None).remove_functions([digest_of(SQUARE)])
    assert set(free.functions) == {digest_of(TO_INT)}


def test_input_and_output_of_one_name_are_two_features() -> None:
    both = graph().add_link(Link(MEOW, USED)).add_link(Link(SCREEN))
    assert [link.feature for link in both.inputs] == [MEOW]
    assert [link.feature for link in both.outputs] == [SCREEN]
    with pytest.raises(ValueError, match="already"):
        both.add_link(Link(MEOW))
    assert both.add_link(Link(SCREEN)) == both
    assert both.remove_link(MEOW).remove_link(SCREEN) == graph()


def test_the_function_before_must_be_named() -> None:
    linked = graph().add_link(Link(MEOW, USED, param_no=1))
    with pytest.raises(ValueError, match="`prev` field mismatch"):
        linked.set_function(MEOW, None, None)
    changed = linked.set_function(MEOW, USED.digest, Use(digest_of(TO_INT)), "variant")
    assert changed.link(MEOW) == Link(MEOW, Use(digest_of(TO_INT)), "variant", 1)
    with pytest.raises(ValueError, match="`prev` field mismatch"):
        linked.set_join(USED.digest, None)


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.set_join(None, Use("0" * 64)),
        lambda it: it.set_join(None, Use.of(USED.digest, {"f": "0" * 64})),
        lambda it: it.add_link(Link(MEOW, Use("0" * 64))),
        lambda it: it.remove_functions(["0" * 64]),
        lambda it: it.set_function(MEOW, None, USED),
        lambda it: it.remove_link(MEOW),
    ],
)
def test_what_is_unknown_is_refused(change) -> None:
    with pytest.raises(ValueError, match="the graph has no"):
        change(graph())
