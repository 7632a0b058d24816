"""The record: what a sweep's events, its data and its end are in MLflow."""
