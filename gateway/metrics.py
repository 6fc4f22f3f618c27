"""What Prometheus may ask of the gateway. Every label has a bounded number of values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from projections.progress import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from projections.progress import Progress

WORKSPACES_SHOWN_MAX = 50
"""Workspaces with a lag of their own in the metrics: those that lag most. The sums cover all."""

APPEND_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1, 2, 5, 10)
HTTP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
BATCH_EVENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
METHODS = frozenset({"GET", "HEAD", "POST"})
ACCEPTED = "accepted"
OTHER = "other"


class Metrics:
    """One gateway's measurements. Also the observer of its appender."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._append_seconds = Histogram(
            "everline_append_seconds",
            "From asking for an append to its durable answer",
            buckets=APPEND_SECONDS,
            registry=self.registry,
        )
        self._append_events = Histogram(
            "everline_append_batch_events", "Events per commit", buckets=BATCH_EVENTS, registry=self.registry
        )
        self._queue = Gauge("everline_append_queue_depth", "Appends that wait for a commit", registry=self.registry)
        self._commands = Counter(
            "everline_commands", "Commands by name and by outcome", ("command", "outcome"), registry=self.registry
        )
        self._http_seconds = Histogram(
            "everline_http_seconds",
            "From the request to the first byte of its answer",
            ("operation", "method", "status"),
            buckets=HTTP_SECONDS,
            registry=self.registry,
        )
        self._streams = Gauge("everline_event_streams", "Open live streams", registry=self.registry)
        self._lag = {
            reader: Gauge(
                f"everline_{reader}_lag_events",
                f"Committed events that the {reader} has not reached, for the workspaces that lag most",
                ("workspace",),
                registry=self.registry,
            )
            for reader in ("relay", "projection", "sealer")
        }
        self._projection = {
            name: Gauge(
                f"everline_projection_{name}", f"{summary}, by workspace", ("workspace",), registry=self.registry
            )
            for name, summary in (
                ("lag_seconds", "Age of the first event that is not in the query tables"),
                ("position", "Position that the query tables have reached"),
                ("events_per_second", "Events applied per second, averaged over about ten seconds"),
                ("stopped_position", "Position of the event that cannot be applied"),
            )
        }
        self._projection_states = Gauge(
            "everline_projections", "Workspaces by what their projection is doing", ("state",), registry=self.registry
        )
        self._seal_refused = Gauge(
            "everline_seal_refused_logs", "Logs that are not sealed, by why", ("code",), registry=self.registry
        )
        self._lag_total = Gauge(
            "everline_lag_events",
            "Committed events not reached yet, over all workspaces",
            ("reader",),
            registry=self.registry,
        )

    def committed(self, workspaces: set[UUID], *, units: int, events: int, latencies: Sequence[float]) -> None:  # noqa: ARG002 - AppendObserver
        """Called by the appender after each commit."""
        self._append_events.observe(events)
        for seconds in latencies:
            self._append_seconds.observe(seconds)

    def commanded(self, command: str, *, outcome: str) -> None:
        """One command was accepted or refused; `command` is a registered name or `other`."""
        self._commands.labels(command, outcome).inc()

    def answered(self, operation: str, *, method: str, status: int, seconds: float) -> None:
        """One HTTP exchange reached its first byte; `operation` is the name of its endpoint."""
        self._http_seconds.labels(operation, method if method in METHODS else OTHER, status).observe(seconds)

    def exposition(
        self,
        *,
        queue_depth: int,
        streams: int,
        heads: Mapping[UUID, int],
        relayed: Mapping[UUID, int],
        projected: Sequence[Progress],
        sealed: Mapping[UUID, int],
        seal_refused: Mapping[str, int],
    ) -> bytes:
        """Everything in Prometheus' text format. `relayed` and `sealed` are the positions of the relay and the sealer,
        `seal_refused` how many logs are not sealed, by code."""
        self._queue.set(queue_depth)
        self._streams.set(streams)
        self._show_projected(projected)
        projection_lags = {each.workspace_id: each.lag_events for each in projected}
        for reader, lags in (
            ("relay", behind(heads, relayed)),
            ("sealer", behind(heads, sealed)),
            ("projection", projection_lags),
        ):
            gauge = self._lag[reader]
            gauge.clear()
            for workspace in sorted(lags, key=lambda key: -lags[key])[:WORKSPACES_SHOWN_MAX]:
                gauge.labels(str(workspace)).set(lags[workspace])
            self._lag_total.labels(reader).set(sum(lags.values()))
        self._seal_refused.clear()
        for code, logs in seal_refused.items():
            self._seal_refused.labels(code).set(logs)
        return generate_latest(self.registry)

    def _show_projected(self, projected: Sequence[Progress]) -> None:
        """The worst workspaces one by one, and how many are in each state."""
        for gauge in self._projection.values():
            gauge.clear()
        for each in projected[:WORKSPACES_SHOWN_MAX]:
            workspace = str(each.workspace_id)
            self._projection["lag_seconds"].labels(workspace).set(each.lag_seconds)
            self._projection["position"].labels(workspace).set(each.position)
            self._projection["events_per_second"].labels(workspace).set(each.events_per_second)
            for stop in each.stops:
                self._projection["stopped_position"].labels(workspace).set(stop.position)
        for state in State:
            self._projection_states.labels(state).set(sum(each.state is state for each in projected))


def behind(heads: Mapping[UUID, int], reached: Mapping[UUID, int]) -> dict[UUID, int]:
    """How many committed events a reader has not reached, by workspace."""
    return {workspace: max(0, head - reached.get(workspace, 0)) for workspace, head in heads.items()}
