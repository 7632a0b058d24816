"""A sweep's report: what it is made of, the page, and its files."""
