"""`make screenshots`: pictures of every page and state, of a real server on the rehearsal's stage. Asserts nothing."""
