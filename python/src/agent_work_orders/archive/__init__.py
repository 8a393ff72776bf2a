"""Orders that leave their store: moved to another one, put away, backed up, brought in. Knows ports only."""
