"""Claims work and runs it, and takes back what silent workers held."""
