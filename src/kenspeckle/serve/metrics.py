"""Numbers about the service for Prometheus: counted in plain dictionaries on the event loop, made
into its text when they are asked for."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kenspeckle.serve.service import Service

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram of seconds."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class _Seconds:
    total: float = 0.0
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def add(self, seconds: float) -> None:
        self.total += seconds
        self.counts[bisect.bisect_left(BOUNDS, seconds)] += 1


class Metrics:
    """What was asked and how long it took.

    `seen` is called from the event loop alone, without a lock; `text` from any thread, on copies.
    """

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = {}
        self._seconds: dict[str, _Seconds] = {}
        self._stages: dict[str, float] = {}

    def seen(
        self, method: str, route: str, status: int, seconds: float, stages: dict[str, float]
    ) -> None:
        """Count one request. `route` is the pattern of its path, so that there are few."""
        key = (method, route, status)
        self.requests[key] = self.requests.get(key, 0) + 1
        self._seconds.setdefault(route, _Seconds()).add(seconds)
        for name, value in stages.items():
            self._stages[name] = self._stages.get(name, 0.0) + value

    def text(self, service: Service) -> bytes:
        """Everything in the text format of Prometheus. Raises MissingExtra."""
        from kenspeckle._extras import need

        client = need("prometheus_client", "metrics")
        registry = client.CollectorRegistry()
        client.ProcessCollector(registry=registry)
        registry.register(_Collector(self, service))
        text: bytes = client.generate_latest(registry)
        return text

    def families(self) -> Iterator[Any]:
        """Families of what was counted."""
        from prometheus_client import core

        requests = core.CounterMetricFamily(
            "kenspeckle_requests", "Requests answered.", labels=["method", "route", "status"]
        )
        for (method, route, status), count in list(self.requests.items()):
            requests.add_metric([method, route, str(status)], count)
        yield requests
        seconds = core.HistogramMetricFamily(
            "kenspeckle_request_seconds", "Seconds of a request.", labels=["route"]
        )
        for route, found in list(self._seconds.items()):
            upto, buckets = 0, []
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), found.counts, strict=True):
                upto += count
                buckets.append((bound, upto))
            seconds.add_metric([route], buckets, found.total)
        yield seconds
        stages = core.CounterMetricFamily(
            "kenspeckle_stage_seconds", "Seconds spent in each stage.", labels=["stage"]
        )
        for stage, total in list(self._stages.items()):
            stages.add_metric([stage], total)
        yield stages


class _Collector:
    """What was counted, and what the service is at this moment."""

    def __init__(self, metrics: Metrics, service: Service) -> None:
        self._metrics, self._service = metrics, service

    def describe(self) -> list[Any]:
        """Nothing ahead: the registry need not ask for everything twice."""
        return []

    def collect(self) -> Iterator[Any]:
        """The families, as the registry asks for them."""
        from prometheus_client import core

        yield from self._metrics.families()
        service = self._service
        yield core.GaugeMetricFamily(
            "kenspeckle_requests_in_flight", "Requests being answered.", service.in_flight
        )
        gauges = (
            ("queue_depth", "Pictures that wait for a model.", "depth"),
            ("queue_running", "Pictures that a model works on.", "running"),
            ("queue_capacity", "Pictures that may run and wait.", "capacity"),
        )
        for name, about, attribute in gauges:
            family = core.GaugeMetricFamily(f"kenspeckle_{name}", about, labels=["model"])
            for scheduler in service.models.schedulers():
                family.add_metric([scheduler.name], getattr(scheduler, attribute))
            yield family
        ends = core.CounterMetricFamily(
            "kenspeckle_queue_pictures", "Pictures by what became of them.", labels=["model", "end"]
        )
        for scheduler in service.models.schedulers():
            for end in ("done", "failed", "refused", "dropped"):
                ends.add_metric([scheduler.name, end], getattr(scheduler.tally, end))
        yield ends
        loaded = core.GaugeMetricFamily(
            "kenspeckle_model_loaded", "1 for a model that is in memory, else 0.", labels=["model"]
        )
        for one in service.models.standings():
            loaded.add_metric([one.name], one.loaded)
        yield loaded
        references = core.GaugeMetricFamily(
            "kenspeckle_references", "References in a gallery.", labels=["gallery"]
        )
        for name, gallery in service.galleries.items():
            references.add_metric([name], len(gallery))
        yield references
