"""Traces and measures. A trace runs from the HTTP request through ledger, NATS and fold to the delivery.

Spans are recorded only where an OTLP endpoint is set. Without one, what a span would cost is saved and its ids are
still made and carried: a fact tells the trace that caused it whoever records it. Measures are offered to Prometheus
under each service's path. Names are kept here, in one list, so that dashboards can rely on them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import Token
from dataclasses import dataclass
from functools import cache
from types import TracebackType

import prometheus_client
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.settings import Settings

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
FACTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


@dataclass(frozen=True, slots=True)
class Named:
    """What a measure tells, the labels it is told with, and for a histogram the upper bounds of its buckets."""

    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


NAMES: Mapping[str, Named] = {
    "pilotmesh.http.requests": Named("HTTP requests", ("service", "method", "route", "status")),
    "pilotmesh.http.duration": Named("Seconds an HTTP request took", ("service", "method", "route"), SECONDS),
    "pilotmesh.ledger.appended": Named("Facts appended by this process", ("service",)),
    "pilotmesh.ledger.batch": Named("Facts per journaled insert", ("service",), FACTS),
    "pilotmesh.relay.published": Named("Facts published to JetStream"),
    "pilotmesh.follower.folded": Named("Facts folded", ("service",)),
    "pilotmesh.quarantine.entries": Named("Things refused", ("code",)),
    "pilotmesh.intake.facts": Named("Facts of other nodes, by what became of them", ("peer", "outcome")),
    "pilotmesh.intake.refused": Named("What peers sent and was refused, by the check that failed", ("peer", "code")),
    "pilotmesh.intake.asked": Named("Questions to peers", ("peer", "outcome")),
    "pilotmesh.ask.answered": Named("Questions of peers that were answered"),
    "pilotmesh.ask.refused": Named("Questions of peers outside the audience"),
    "pilotmesh.deliveries": Named("Webhook deliveries", ("outcome",)),
}

Labels = Mapping[str, str | int]
NO_LABELS: Labels = {}

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_propagator = TraceContextTextMapPropagator()
_recording = False


def start_telemetry(settings: Settings, service: str = "pilotmesh") -> None:
    """Begins to record spans, if they are to be sent anywhere; once a process, called again it does nothing."""
    global _recording  # noqa: PLW0603 - OpenTelemetry's provider is one per process
    if _recording or not settings.otlp_endpoint:
        return
    # What records and sends takes a third of a second to import: only where it is used.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource.create({"service.name": service, "service.namespace": "pilotmesh"}))
    endpoint = settings.otlp_endpoint.rstrip("/") + "/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    _recording = True


# -- measures --------------------------------------------------------------------------------------------------


class Counter:
    """Counts up, per combination of labels."""

    def __init__(self, name: str) -> None:
        named = NAMES[name]
        self._labels = named.labels
        self._counter = prometheus_client.Counter(name.replace(".", "_"), named.description, named.labels)
        self._children: dict[tuple[str | int, ...], prometheus_client.Counter] = {}

    def add(self, amount: float, labels: Labels = NO_LABELS) -> None:
        """Raises KeyError without one of the labels that NAMES lists."""
        if not self._labels:
            self._counter.inc(amount)
            return
        told = tuple([labels[name] for name in self._labels])
        child = self._children.get(told)
        if child is None:
            child = self._children[told] = self._counter.labels(*told)
        child.inc(amount)


class Histogram:
    """Observes values, per combination of labels."""

    def __init__(self, name: str) -> None:
        named = NAMES[name]
        self._labels = named.labels
        self._histogram = prometheus_client.Histogram(
            name.replace(".", "_"), named.description, named.labels, buckets=named.buckets
        )
        self._children: dict[tuple[str | int, ...], prometheus_client.Histogram] = {}

    def record(self, value: float, labels: Labels = NO_LABELS) -> None:
        """Raises KeyError without one of the labels that NAMES lists."""
        told = tuple([labels[name] for name in self._labels])
        child = self._children.get(told)
        if child is None:
            child = self._children[told] = self._histogram.labels(*told)
        child.observe(value)


@cache
def counter(name: str) -> Counter:
    return Counter(name)


@cache
def histogram(name: str) -> Histogram:
    return Histogram(name)


# -- traces ----------------------------------------------------------------------------------------------------


def traceparent() -> str | None:
    """The current span's W3C traceparent, to be carried beside a fact."""
    told = trace.get_current_span().get_span_context()
    if not told.is_valid:
        return None
    return f"00-{told.trace_id:032x}-{told.span_id:016x}-{told.trace_flags:02x}"


def context_of(parent: str | None) -> Context | None:
    return _propagator.extract({"traceparent": parent}) if parent else None


def span(
    name: str, parent: str | None = None, kind: SpanKind = SpanKind.INTERNAL, **attributes: str | int
) -> AbstractContextManager[Span]:
    """A span; under `parent` (a traceparent) where the cause came from elsewhere."""
    if not _recording:
        return _Carried(parent)
    told = {f"pilotmesh.{key}": value for key, value in attributes.items()}
    tracer = trace.get_tracer("pilotmesh")
    return tracer.start_as_current_span(name, context=context_of(parent), kind=kind, attributes=told)


class _Carried:
    """A span that is not recorded: it goes on with the trace it belongs to, or begins one."""

    __slots__ = ("_parent", "_token")

    def __init__(self, parent: str | None) -> None:
        self._parent = parent
        self._token: Token[Context] | None = None

    def __enter__(self) -> Span:
        above = _read(self._parent) if self._parent else trace.get_current_span().get_span_context()
        carried = NonRecordingSpan(
            SpanContext(
                trace_id=above.trace_id or random.getrandbits(128),
                span_id=random.getrandbits(64),
                is_remote=False,
                trace_flags=above.trace_flags,
            )
        )
        self._token = context.attach(trace.set_span_in_context(carried))
        return carried

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._token is not None
        context.detach(self._token)


def _read(parent: str) -> SpanContext:
    """What a traceparent names; an invalid context if it is none."""
    parts = _TRACEPARENT.fullmatch(parent)
    if parts is None:
        return INVALID_SPAN_CONTEXT
    return SpanContext(int(parts[1], 16), int(parts[2], 16), is_remote=True, trace_flags=TraceFlags(int(parts[3], 16)))
