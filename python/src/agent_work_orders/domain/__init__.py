"""The words of the product, pure: what a work order is and how it may move. Knows no database, process or network."""
