"""A lineage graph as a table, as Mermaid or as DOT."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from everline.cli import output, tables
from everline.cli.session import Session

COLUMNS = ("from", "name", "to")
SHAPES = {"artifact_version": ("([", "])", "ellipse"), "step": ("[", "]", "box")}
DEPTH_DEFAULT = 20

Graph = dict[str, Any]


def read_lineage(session: Session, ref: str, *, up: int | None, down: int | None) -> Graph:
    """The graph around an artifact version: both directions unless one is named, each to its own depth."""
    path = f"artifact-versions/{ref}/lineage"
    if up is None and down is None:
        return session.get(path, {"direction": "both", "depth": DEPTH_DEFAULT})
    parts = [
        session.get(path, {"direction": direction, "depth": depth})
        for direction, depth in (("up", up), ("down", down))
        if depth is not None
    ]
    return joined(parts)


def joined(parts: Sequence[Graph]) -> Graph:
    """One graph of several around the same root."""
    nodes = {node["id"]: node for part in parts for node in part["nodes"]}
    edges = {(edge["from"], edge["to"], edge["name"]): edge for part in parts for edge in part["edges"]}
    return {
        **parts[0],
        "nodes": list(nodes.values()),
        "edges": list(edges.values()),
        "truncated": any(part["truncated"] for part in parts),
    }


def emit_lineage(graph: Graph, form: str) -> None:
    """Write the graph; says on stderr when it goes on beyond what was asked for."""
    match form:
        case "json":
            sys.stdout.write(json.dumps(graph, indent=2, ensure_ascii=False) + "\n")
        case "mermaid":
            sys.stdout.write(mermaid(graph))
        case "dot":
            sys.stdout.write(dot(graph))
        case _:
            tables.show(rows(graph), tables.columns(COLUMNS))
    if graph["truncated"]:
        output.note("the graph goes on beyond this; --up N and --down N say how far to follow it")


def rows(graph: Graph) -> list[dict[str, Any]]:
    """A row per edge, with names instead of ids."""
    names = {node["id"]: label(node) for node in graph["nodes"]}
    return [{"from": names[edge["from"]], "name": edge["name"], "to": names[edge["to"]]} for edge in graph["edges"]]


def label(node: dict[str, Any]) -> str:
    """A step is told from an artifact version by its word; the latter has an @."""
    name = str(node.get("name") or node["id"])
    return f"step {name}" if node["type"] == "step" else name


def mermaid(graph: Graph) -> str:
    """https://mermaid.js.org/syntax/flowchart.html"""
    keys = {node["id"]: f"n{number}" for number, node in enumerate(graph["nodes"])}
    lines = ["flowchart LR"]
    for node in graph["nodes"]:
        before, after, _ = SHAPES[node["type"]]
        lines.append(f"  {keys[node['id']]}{before}{_quoted(label(node), quote='#quot;')}{after}")
    lines += [
        f"  {keys[edge['from']]} -- {_quoted(edge['name'], quote='#quot;')} --> {keys[edge['to']]}"
        for edge in graph["edges"]
    ]
    return "\n".join(lines) + "\n"


def dot(graph: Graph) -> str:
    """https://graphviz.org/doc/info/lang.html"""
    keys = {node["id"]: f"n{number}" for number, node in enumerate(graph["nodes"])}
    lines = ["digraph lineage {", "  rankdir=LR;"]
    for node in graph["nodes"]:
        shape = SHAPES[node["type"]][2]
        lines.append(f"  {keys[node['id']]} [shape={shape}, label={_quoted(label(node), quote=ESCAPED_QUOTE)}];")
    lines += [
        f"  {keys[edge['from']]} -> {keys[edge['to']]} [label={_quoted(edge['name'], quote=ESCAPED_QUOTE)}];"
        for edge in graph["edges"]
    ]
    return "\n".join([*lines, "}"]) + "\n"


ESCAPED_QUOTE = '\\"'


def _quoted(text: str, *, quote: str) -> str:
    return '"' + text.replace('"', quote) + '"'
