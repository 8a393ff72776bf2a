"""Every metric once: name, labels, unit and what it means. No label ever holds an order, a repository or a person."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)


class Catalogue:
    """The metrics of one server. A registry of its own: a server that is built twice in one process is no error."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.orders = Gauge(
            "awo_orders", "Work orders by status, on all servers.", ["status"], registry=registry
        )  # fmt: skip
        self.oldest_pending = Gauge(
            "awo_oldest_pending_seconds", "How long the longest-waiting pending order has waited.", registry=registry
        )
        self.slots = Gauge("awo_slots", "Orders that this server may run at once.", registry=registry)
        self.slots_busy = Gauge("awo_slots_busy", "Orders that this server runs now.", registry=registry)
        self.disk_size = Gauge("awo_disk_size_bytes", "Size of a volume.", ["volume"], registry=registry)
        self.disk_free = Gauge("awo_disk_free_bytes", "Free space of a volume, for us.", ["volume"], registry=registry)
        self.streams = Gauge("awo_streams", "Clients that follow events now.", registry=registry)
        self.redactions = Counter(
            "awo_redactions", "Texts in which a secret was found and blotted out.", registry=registry
        )
        self.claims = Counter("awo_claims", "Orders that this server's worker took.", registry=registry)
        self.leases_lost = Counter(
            "awo_leases_lost", "Orders taken back from a worker that went silent, by this server.", registry=registry
        )
        self.finished = Counter(
            "awo_orders_finished",
            "Orders that ended on this server, by status and failure class (empty for the others).",
            ["status", "failure_class"],
            registry=registry,
        )
        self.waits = Counter(
            "awo_orders_waited",
            "Times that an order of this server went to wait, by reason.",
            ["reason"],
            registry=registry,
        )
        self.checkouts = Histogram(
            "awo_checkout_seconds",
            "Time until a checkout was ready, by whether earlier work was found.",
            ["resumed"],
            buckets=SECONDS,
            registry=registry,
        )
        self.steps = Histogram(
            "awo_step_seconds",
            "Duration of steps, by name and how they ended; its count is the number of steps.",
            ["step", "status"],
            buckets=SECONDS,
            registry=registry,
        )
        self.checks = Histogram(
            "awo_check_seconds",
            "Duration of verifications, by how they ended (passed, failed, timed_out).",
            ["result"],
            buckets=SECONDS,
            registry=registry,
        )
        self.agent_starts = Counter("awo_agent_starts", "Turns that an agent began.", ["resumed"], registry=registry)
        self.tokens = Counter(
            "awo_tokens", "Tokens that agents used, by direction (input, output).", ["direction"], registry=registry
        )
        self.cost = Counter("awo_cost_usd", "What agents cost, in US dollars.", registry=registry)
        self.pushes = Counter("awo_branches_pushed", "Branches that were pushed.", registry=registry)
        self.pull_requests = Counter(
            "awo_pull_requests", "Pull requests, by whether they were made or found.", ["created"], registry=registry
        )
        self.store_calls = Histogram(
            "awo_store_seconds",
            "Duration of calls to the store, by call.",
            ["call"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=registry,
        )
        self.store_failures = Counter(
            "awo_store_failures", "Calls to the store that could not be answered, by call.", ["call"], registry=registry
        )
