"""`make bench`: what the product is worth in figures, each with its target. Knows the product from outside, as a client."""
