"""Files of published data sets: where they lie, how they are got, and readers they share."""
