"""A worker: it does a sweep's jobs in a process of Ray's, and knows nothing of a search."""
