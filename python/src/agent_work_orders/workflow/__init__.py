"""What happens to one claimed work order. Start with `run.py`."""
