"""`/metrics`: the ledger's counts in Prometheus text, read from the database at each scrape."""

from collections.abc import Iterator

from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from inspection.states import Source
from reports.queries import plant
from reports.queries.pulse import inspect_worker_is_heard

WAITING = {
    "captured_parts": ("secondlook_inspect_queue_parts", "Captured parts that wait for the inspect worker"),
    "waiting_cases": ("secondlook_review_queue_cases", "Cases that wait for an inspector"),
    "oldest_case_s": ("secondlook_review_oldest_case_seconds", "Age of the oldest waiting case"),
    "ties": ("secondlook_ties", "Ties that wait for the quality expert"),
    "undelivered": ("secondlook_plc_undelivered_dispositions", "Dispositions without the PLC's answer"),
}


class Ledger(Collector):
    """Several web processes count the same rows, so nothing is counted in memory."""

    def collect(self) -> Iterator[Metric]:
        parts = GaugeMetricFamily("secondlook_parts", "Parts by state", labels=["line", "state"])
        for labels, count in plant.parts_by_state().items():
            parts.add_metric(labels, count)
        yield parts
        finals = CounterMetricFamily(
            "secondlook_final_dispositions", "Final dispositions", labels=["line", "outcome", "source"]
        )
        for (line, outcome, source), count in plant.final_dispositions().items():
            finals.add_metric([line, outcome, Source(int(source)).name.lower()], count)
        yield finals
        for key, value in plant.waiting_figures(timezone.now()).items():
            name, text = WAITING[key]
            yield GaugeMetricFamily(name, text, value=value)
        golden = GaugeMetricFamily(
            "secondlook_golden_configuration_active",
            "1 if the line has an active golden configuration",
            labels=["line"],
        )
        for labels, count in plant.active_goldens().items():
            golden.add_metric(labels, count)
        yield golden
        yield GaugeMetricFamily(
            "secondlook_inspect_worker_up",
            "1 while an inspect worker is heard",
            value=inspect_worker_is_heard(),
        )


def metrics_text() -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Ledger())
    return generate_latest(registry)
