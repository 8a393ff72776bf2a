"""Archon's tools for agents, over the Model Context Protocol. Knows the server only by its HTTP API."""
