"""Lineage: the steps and artifact versions that one artifact version comes from, or that came from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from projections.errors import InvalidFilter, InvalidLimit
from projections.filters import Filter
from projections.pages import NEWEST_FIRST
from projections.registry import table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from projections.moments import Moment
    from projections.reading import Reading
    from projections.table import Row

Direction = Literal["up", "down"]

DEPTH = 10
DEPTH_MAX = 50
NODES_MAX = 500
EDGES_PER_LEVEL_MAX = 2_000
DIRECTIONS: dict[str, tuple[Direction, ...]] = {"up": ("up",), "down": ("down",), "both": ("up", "down")}

TOWARDS: dict[Direction, tuple[str, str]] = {"up": ("out", "in"), "down": ("in", "out")}
"""Which edges lead from an artifact version to a step, and on from the step: upwards the step that wrote it, then
what that step read."""


class Graph:
    """What was found so far, bounded; `truncated` says that there is more."""

    def __init__(self, root: UUID) -> None:
        self.artifact_versions: dict[UUID, None] = {root: None}
        self.steps: dict[UUID, Row] = {}
        self.edges: dict[UUID, Row] = {}
        self.truncated = False

    def full(self) -> bool:
        return len(self.artifact_versions) + len(self.steps) >= NODES_MAX

    def add(self, edge: Row) -> bool:
        """False if the edge leads to a node that there is no room for."""
        new = (edge["step_id"] not in self.steps) + (edge["artifact_version_id"] not in self.artifact_versions)
        if new and self.full():
            self.truncated = True
            return False
        self.steps.setdefault(edge["step_id"], edge)
        self.artifact_versions.setdefault(edge["artifact_version_id"])
        self.edges.setdefault(edge["id"], edge)
        return True


async def lineage(
    reading: Reading, workspace_id: UUID, *, root: UUID, direction: str, depth: int, moment: Moment
) -> dict[str, Any]:
    """`depth` counts steps between artifact versions. Bounded by NODES_MAX; `truncated` tells when that cut it."""
    if direction not in DIRECTIONS:
        raise InvalidFilter("direction", direction, reason=f"it is one of {', '.join(DIRECTIONS)}")
    if not 1 <= depth <= DEPTH_MAX:
        raise InvalidLimit(depth, limit_max=DEPTH_MAX)
    graph = Graph(root)
    walk = Walk(reading, workspace_id, moment=moment, graph=graph)
    for towards in DIRECTIONS[direction]:
        await walk.follow(root, towards, depth=depth)
    return {
        "root": root,
        "nodes": [*await walk.artifact_version_nodes(), *await walk.step_nodes()],
        "edges": [_edge(edge) for edge in graph.edges.values()],
        "truncated": graph.truncated,
    }


class Walk:
    """Breadth first, a level at a time, so that the number of queries follows the depth and not the size."""

    def __init__(self, reading: Reading, workspace_id: UUID, *, moment: Moment, graph: Graph) -> None:
        self._reading = reading
        self._workspace_id = workspace_id
        self._moment = moment
        self._graph = graph

    async def follow(self, root: UUID, towards: Direction, *, depth: int) -> None:
        to_step, from_step = TOWARDS[towards]
        frontier, visited = {root}, {root}
        steps_visited: set[UUID] = set()
        for _ in range(depth):
            steps = await self._cross("artifact_version_id", frontier, to_step, far="step_id")
            versions = await self._cross("step_id", steps - steps_visited, from_step, far="artifact_version_id")
            steps_visited |= steps
            frontier = versions - visited
            visited |= frontier
            if not frontier:
                return
        if await self._edges("artifact_version_id", frontier, to_step, limit=1):
            self._graph.truncated = True

    async def _cross(self, near: str, ids: set[UUID], direction: str, *, far: str) -> set[UUID]:
        """The ids at the other end of all edges of this direction."""
        edges = await self._edges(near, ids, direction, limit=EDGES_PER_LEVEL_MAX + 1)
        if len(edges) > EDGES_PER_LEVEL_MAX:
            self._graph.truncated = True
        return {edge[far] for edge in edges[:EDGES_PER_LEVEL_MAX] if self._graph.add(edge)}

    async def _edges(self, near: str, ids: Iterable[UUID], direction: str, *, limit: int) -> list[Row]:
        wanted = list(ids)
        if not wanted:
            return []
        columns = table("lineage_edges").by_name
        filters = [
            Filter(columns[near], (), "oneof", negated=False, value=wanted),
            Filter(columns["direction"], (), "equals", negated=False, value=direction),
        ]
        return await self._reading.page(
            self._workspace_id, "lineage_edges", moment=self._moment, filters=filters, order=NEWEST_FIRST, limit=limit
        )

    async def artifact_version_nodes(self) -> list[dict[str, Any]]:
        shown = ("name", "artifact_id", "number", "artifact_type", "run_id", "deleted")
        return await self._nodes("artifact_versions", list(self._graph.artifact_versions), "artifact_version", shown)

    async def step_nodes(self) -> list[dict[str, Any]]:
        shown = ("name", "status", "run_id", "run", "pipeline")
        return await self._nodes("steps", list(self._graph.steps), "step", shown)

    async def _nodes(self, name: str, ids: list[UUID], type_: str, shown: tuple[str, ...]) -> list[dict[str, Any]]:
        """Nodes with what is known of them; an id that nothing was recorded about stands alone."""
        known = await self._reading.versions(self._workspace_id, table(name), ids=ids, moment=self._moment)
        return [
            {"id": id_, "type": type_, **{column: known[id_][column] for column in shown if id_ in known}}
            for id_ in ids
        ]


def _edge(edge: Row) -> dict[str, Any]:
    """In the direction of the data: from an input to the step, from the step to an output."""
    step, version = edge["step_id"], edge["artifact_version_id"]
    source, target = (version, step) if edge["direction"] == "in" else (step, version)
    return {"from": source, "to": target, "name": edge["name"]}
