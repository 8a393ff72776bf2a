"""The host's own HTTP routes. Importing this package imports none of them."""
