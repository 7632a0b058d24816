"""The cluster: reached from afar, looked at, and given what a sweep needs."""
