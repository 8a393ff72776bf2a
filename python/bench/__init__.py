"""`make bench`: what the product is worth in figures, each with its target. Knows it from outside, as a client."""
