import pytest

# Suites that test modules inherit: their asserts deserve explanations too.
for _suite in ("filing", "queueing", "leases", "journals", "running", "ends", "reading", "waiting", "crowds"):
    pytest.register_assert_rewrite(f"{__name__}.store_{_suite}")
