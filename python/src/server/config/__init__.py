"""How this server is configured: environment, logging, version, neighbours. Importing this package does nothing."""
