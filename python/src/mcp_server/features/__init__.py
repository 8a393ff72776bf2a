"""One folder for each feature that has tools."""
