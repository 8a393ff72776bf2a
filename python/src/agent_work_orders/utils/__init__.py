"""Names under which the specification knows commands that live elsewhere."""
