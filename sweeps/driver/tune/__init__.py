"""Ray Tune's loop: a sweep's jobs are its trials."""
