"""Traces and measures. A trace runs from the HTTP request through ledger, NATS and fold to the delivery.

Nothing is sent anywhere unless an OTLP endpoint is set; measures are offered to Prometheus under each
service's path. Names are kept here, in one list, so that dashboards can rely on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared.settings import Settings

NAMES = {
    "pilotmesh.http.requests": "HTTP requests, by service, method, route and status",
    "pilotmesh.http.duration": "Seconds an HTTP request took, by service and route",
    "pilotmesh.ledger.appended": "Facts appended by this process, by service",
    "pilotmesh.ledger.batch": "Facts per journaled insert",
    "pilotmesh.relay.published": "Facts published to JetStream",
    "pilotmesh.follower.folded": "Facts folded, by service",
    "pilotmesh.quarantine.entries": "Things refused, by code",
    "pilotmesh.deliveries": "Webhook deliveries, by outcome",
}

_propagator = TraceContextTextMapPropagator()
_started = False


def start_telemetry(settings: Settings, service: str = "pilotmesh") -> None:
    """Sets the process's providers, once; called again it does nothing."""
    global _started  # noqa: PLW0603 - OpenTelemetry's providers are per process
    if _started:
        return
    _started = True
    resource = Resource.create({"service.name": service, "service.namespace": "pilotmesh"})
    tracer_provider = TracerProvider(resource=resource)
    if settings.otlp_endpoint:
        endpoint = settings.otlp_endpoint.rstrip("/") + "/v1/traces"
        tracer_provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(tracer_provider)
    metrics.set_meter_provider(MeterProvider(resource=resource, metric_readers=[PrometheusMetricReader()]))


def tracer() -> trace.Tracer:
    return trace.get_tracer("pilotmesh")


@cache
def counter(name: str) -> metrics.Counter:
    return metrics.get_meter("pilotmesh").create_counter(name, description=NAMES[name])


@cache
def histogram(name: str) -> metrics.Histogram:
    return metrics.get_meter("pilotmesh").create_histogram(name, description=NAMES[name])


def traceparent() -> str | None:
    """The current span's W3C traceparent, to be carried beside a fact."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


def context_of(parent: str | None) -> Context | None:
    return _propagator.extract({"traceparent": parent}) if parent else None


@contextmanager
def span(
    name: str, parent: str | None = None, kind: SpanKind = SpanKind.INTERNAL, **attributes: str | int
) -> Iterator[Span]:
    """A span; under `parent` (a traceparent) where the cause came from elsewhere."""
    told = {f"pilotmesh.{key}": value for key, value in attributes.items()}
    with tracer().start_as_current_span(name, context=context_of(parent), kind=kind, attributes=told) as opened:
        yield opened
