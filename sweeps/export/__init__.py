"""Export: the selected model of a gate, made again from the record, as a registry serves it."""
