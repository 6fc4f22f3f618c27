"""Lineage graphs as tables and as graph languages."""

from __future__ import annotations

from everline.cli import lineage

GRAPH = {
    "root": "b",
    "nodes": [
        {"id": "a", "type": "artifact_version", "name": 'say "digits"@1'},
        {"id": "s", "type": "step", "name": "train"},
        {"id": "b", "type": "artifact_version", "name": "model@2"},
    ],
    "edges": [{"from": "a", "to": "s", "name": "data"}, {"from": "s", "to": "b", "name": "model"}],
    "truncated": False,
}


def test_a_row_per_edge() -> None:
    assert lineage.rows(GRAPH) == [
        {"from": 'say "digits"@1', "name": "data", "to": "step train"},
        {"from": "step train", "name": "model", "to": "model@2"},
    ]


def test_mermaid() -> None:
    assert lineage.mermaid(GRAPH).splitlines() == [
        "flowchart LR",
        '  n0(["say #quot;digits#quot;@1"])',
        '  n1["step train"]',
        '  n2(["model@2"])',
        '  n0 -- "data" --> n1',
        '  n1 -- "model" --> n2',
    ]


def test_dot_escapes_quotes() -> None:
    assert '  n0 [shape=ellipse, label="say \\"digits\\"@1"];' in lineage.dot(GRAPH).splitlines()


def test_joining_two_directions_keeps_each_node_once() -> None:
    joined = lineage.joined([GRAPH, {**GRAPH, "truncated": True}])
    assert len(joined["nodes"]) == 3
    assert len(joined["edges"]) == 2
    assert joined["truncated"]
