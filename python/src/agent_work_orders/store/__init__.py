"""Where work orders live: one contract, one module per backend. Knows nothing of HTTP, git or agents."""
